package top

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"osgate/admin"
	"osgate/cmd/internal/table"
	"osgate/telemetry/board"
)

// client contains the counts of the client that is open. known is false if the gateway
// has none.
type client struct {
	board.ClientDetail
	known bool
}

// readClient reads an answer of GET /api/client, with the names of the ids in it. A
// client that the gateway does not know is no error.
func readClient(status int, body []byte) (c client, names map[string]string, err error) {
	switch status {
	case http.StatusOK:
	case http.StatusNotFound:
		return c, nil, nil
	default:
		return c, nil, fmt.Errorf("it answered %d to a request for a client", status)
	}
	answer := admin.Detail{Detail: &c.ClientDetail}
	if err := json.Unmarshal(body, &answer); err != nil {
		return client{}, nil, fmt.Errorf("reading the client: %w", err)
	}
	c.known = true
	return c, answer.Names, nil
}

// clientBlocks returns the blocks of the opened client, with the names of the page.
func clientBlocks(o overview, v view) []block {
	c := o.client
	if !c.known {
		list := table.Table{Columns: []table.Column{{Title: "CLIENT", Least: 10}, {Least: 10}}}
		list.Add(table.Text(o.nameOf(v.choice.client)), table.Text("this replica has seen nothing of it within the last minutes"))
		return []block{{left: list, least: 1}}
	}
	blocks := []block{
		{left: clientTable(o), least: 1}, {left: minutesTable(c.Trail), least: 3}, {left: countedTable(c), least: 1},
	}
	codes, operations := talliesTable("REFUSALS AND ERRORS", c.Trail.Codes), talliesTable("OPERATIONS", c.Trail.Operations)
	switch {
	case v.width >= rulesFrom && len(codes.Rows) > 0:
		blocks = append(blocks, block{left: codes, right: operations, least: 2})
	default:
		blocks = append(blocks, block{left: codes, least: 2}, block{left: operations, least: 2})
	}
	blocks = append(blocks,
		block{left: clientStoresTable(o, v), least: 2}, block{left: itsRefusalsTable(c.Refusals), least: 2})
	shown := blocks[:0]
	for _, b := range blocks {
		if b.rows() > 0 {
			shown = append(shown, b)
		}
	}
	return shown
}

// clientTable shows the client with its rate and its quota.
func clientTable(o overview) table.Table {
	c := o.client
	list := table.Table{Columns: []table.Column{
		{Title: "CLIENT", Least: 10}, {Title: "ID", Least: 10, Spare: 3}, {Title: "/S", Right: true},
		{Title: "MINUTE", Right: true, Spare: 2}, {Title: "REFUSED", Right: true}, {Title: "LEFT", Right: true},
		{Title: "QUOTA", Spare: 1}, {},
	}}
	left, quota, over := quotaCells(c.ClientCount)
	list.Add(
		table.Text(o.nameOf(c.Principal)), table.Text(c.Principal), rateCell(table.Plain, c.PerSecond),
		countCell(table.Plain, c.Requests), countCell(table.Plain, c.Refused), left, quota, over,
	)
	return list
}

// stepsPerMinute is the number of steps of a trail that one column shows.
const stepsPerMinute = 4

// minutesTable shows the complete minutes of a trail: the oldest is dropped first on a
// narrow screen.
func minutesTable(t board.Trail) table.Table {
	list := table.Table{Columns: []table.Column{{Title: "MINUTES AGO"}}}
	requests, refused := []table.Cell{table.Text("Requests per second")}, []table.Cell{table.Text("Refused per second")}
	left := []table.Cell{table.Text("Quota left")}
	complete := len(t.Requests) - 1 // the last step is not
	for ago := complete / stepsPerMinute; ago > 0; ago-- {
		from := complete - ago*stepsPerMinute
		list.Columns = append(list.Columns, table.Column{Title: number(int64(ago)), Right: true, Spare: ago})
		requests = append(requests, rateCell(table.Plain, mean(minute(t.Requests, from))))
		refused = append(refused, rateCell(table.Plain, mean(minute(t.Refused, from))))
		left = append(left, lowestCell(minute(t.Remaining, from)))
	}
	if len(list.Columns) > 1 {
		list.Rows = [][]table.Cell{requests, refused, left}
	}
	return list
}

// minute returns the steps of the minute that begins with step from; fewer if s is
// shorter.
func minute(s board.Series, from int) board.Series {
	return s[min(from, len(s)):min(from+stepsPerMinute, len(s))]
}

func mean(s board.Series) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / stepsPerMinute
}

// lowestCell returns a cell with the lowest value, empty if there is none.
func lowestCell(s board.Series) table.Cell {
	lowest := math.NaN()
	for _, v := range s {
		if math.IsNaN(lowest) || v < lowest {
			lowest = v
		}
	}
	if math.IsNaN(lowest) {
		return table.Styled(table.Faint, "-")
	}
	return table.Text(large(lowest))
}

// countedTable shows what is counted since the gateway knows the client.
func countedTable(c client) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "COUNTED SINCE"}, {Title: "BODIES IN / OUT"}, {Title: "POLICY RULE THAT DECIDED LAST", Least: 10},
	}}
	list.Add(
		table.Text(clock(c.Trail.Since)), table.Text(bytesText(c.Trail.Received)+" / "+bytesText(c.Trail.Sent)),
		table.Text(cmp.Or(c.Rule, "-")),
	)
	return list
}

func talliesTable(name string, counts []board.Tally) table.Table {
	list := table.Table{Columns: []table.Column{{Title: name, Least: 10}, {Title: "REQUESTS", Right: true}}}
	for _, t := range counts {
		list.Add(table.Text(t.Name), countCell(table.Plain, t.Count))
	}
	return list
}

// clientStoresTable lists the stores that the client uses most.
func clientStoresTable(o overview, v view) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "STORES", Least: leastStore(v)}, {Title: "ENVIRONMENT", Least: 8, Spare: 1},
		{Title: "ORGANIZATION", Least: 8, Spare: 3}, {Title: "LOCATION", Spare: 2},
		{Title: "REQUESTS", Right: true}, {Title: "HITS", Right: true},
	}}
	for _, s := range o.client.Stores {
		list.Add(
			table.Text(cmp.Or(s.Store, "-")), table.Text(o.nameOf(s.Environment)), table.Text(o.nameOf(s.Organization)),
			table.Text(s.Plane+"/"+s.Region), countCell(table.Plain, s.Requests), ratioCell(s.Hits, s.Requests),
		)
	}
	return list
}

// itsRefusalsTable lists the last refusals of the client.
func itsRefusalsTable(refusals []board.Refusal) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "TIME UTC", Spare: 1}, {Spare: 2}, {Title: "ITS LAST REFUSALS", Least: 14}, {Title: "OPERATION", Spare: 3},
		{Title: "REQUEST ID"},
	}}
	for _, r := range refusals {
		list.Add(refusalCells(r)...)
	}
	return list
}
