package top

import (
	"cmp"
	"slices"
	"strings"

	"osgate/admin"
	"osgate/cmd/internal/table"
	"osgate/record"
	"osgate/telemetry/board"
)

// The widths from which on two lists are shown side by side.
const (
	spendingFrom = 76
	rulesFrom    = 76
	busiestFrom  = 180

	// The width from which on names of stores are not cut below 40 columns.
	standardWidth = 80
)

// blocksOf returns the blocks below the headlines from top to bottom, without empty
// lists.
func blocksOf(o overview, v view) []block {
	t := o.Traffic
	var blocks []block
	add := func(least, pairedFrom int, tables ...table.Table) {
		tables = slices.DeleteFunc(tables, func(t table.Table) bool { return len(t.Rows) == 0 })
		if len(tables) == 2 && v.width >= pairedFrom {
			blocks = append(blocks, block{tables[0], tables[1], least})
			return
		}
		for _, one := range tables {
			blocks = append(blocks, block{left: one, least: least})
		}
	}
	add(2, 0, requestsTable(t))
	add(5, spendingFrom, timingsTable(t), spendingTable(t))
	add(2, 0, partsTable(o.Health.Parts))
	add(1, busiestFrom, clientsTable(o, v.choice), storesTable(o, v))
	add(1, 0, codesTable(t.Codes))
	add(2, 0, refusalsTable(o))
	add(1, rulesFrom, rulesTable("WOULD BE DENIED BY", t.Shadow), rulesTable("FAILED RULE", t.PolicyErrors))
	return blocks
}

// outcomeTitles lists the outcomes in the order in which they are shown, and the order
// in which they are dropped on a narrow screen.
var outcomeTitles = []struct {
	outcome record.Outcome
	title   string
	spare   int
}{
	{record.OutcomeHit, "HIT", 0}, {record.OutcomeUpstreamOK, "OK", 3}, {record.OutcomeUpstreamClientError, "4XX", 4},
	{record.OutcomeUpstreamError, "FAILED", 1}, {record.OutcomeRefused, "REFUSED", 2},
	{record.OutcomeLocal, "LOCAL", 5}, {record.OutcomeClientLeft, "GONE", 6},
}

// requestsTable counts requests by outcome.
func requestsTable(t board.Snapshot) table.Table {
	list := table.Table{Columns: []table.Column{{Title: "REQUESTS"}, {Title: "ALL", Right: true}}}
	second := []table.Cell{table.Text("per second")}
	minute := []table.Cell{table.Text("last minute")}
	start := []table.Cell{table.Text("since start")}
	var all board.Count
	for _, o := range t.Outcomes {
		all.PerSecond, all.Window, all.Total = all.PerSecond+o.PerSecond, all.Window+o.Window, all.Total+o.Total
	}
	put := func(s table.Style, n board.Count) {
		second = append(second, rateCell(s, n.PerSecond))
		minute = append(minute, countCell(s, n.Window))
		start = append(start, countCell(s, n.Total))
	}
	put(table.Bold, all)
	for _, known := range outcomeTitles {
		var n board.Count
		for _, o := range t.Outcomes {
			if o.Outcome == known.outcome {
				n = o.Count
			}
		}
		s := table.Plain
		if known.outcome == record.OutcomeUpstreamError && n.Window > 0 {
			s = table.Bad
		}
		list.Columns = append(list.Columns, table.Column{Title: known.title, Right: true, Spare: known.spare})
		put(s, n)
	}
	list.Rows = [][]table.Cell{second, minute, start}
	return list
}

// timingsTable shows the latency of requests in the last minute.
func timingsTable(t board.Snapshot) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "LATENCY MS"}, {Title: "P50", Right: true}, {Title: "P95", Right: true},
		{Title: "P99", Right: true},
	}}
	for _, row := range []struct {
		name string
		of   board.Quantiles
	}{{"all", t.Latencies.All}, {"cache hits", t.Latencies.Hit}, {"upstream", t.Latencies.Upstream}} {
		q := row.of
		list.Add(table.Text(row.name), msCell(q, q.P50), msCell(q, q.P95), msCell(q, q.P99))
	}
	return list
}

// spendingTable shows the requests sent to Object Store, and those that the cache
// saved.
func spendingTable(t board.Snapshot) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "OBJECT STORE"}, {Title: "MINUTE", Right: true}, {Title: "START", Right: true},
	}}
	var hits board.Count
	for _, o := range t.Outcomes {
		if o.Outcome == record.OutcomeHit {
			hits = o.Count
		}
	}
	list.Add(table.Text("hit ratio"), ratioCell(hits.Window, t.Lookups.Window), ratioCell(hits.Total, t.Lookups.Total))
	for _, row := range []struct {
		name string
		of   board.Count
	}{
		{"requests", t.Upstream}, {"units", t.UpstreamUnits},
		{"saved", t.Saved.Requests}, {"units saved", t.Saved.Units},
	} {
		list.Add(table.Text(row.name), countCell(table.Plain, row.of.Window), countCell(table.Plain, row.of.Total))
	}
	return list
}

func partsTable(parts []admin.Part) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "PART", Least: 10}, {Title: "STATE"}, {Title: "P50 MS", Right: true, Spare: 1},
		{Title: "P95 MS", Right: true, Spare: 4}, {Title: "P99 MS", Right: true, Spare: 2},
		{Title: "BREAKER", Spare: 3}, {Title: "DETAIL", Least: 12, Spare: 5},
	}}
	most := func(a, b admin.Part) int { return cmp.Compare(urgency(b), urgency(a)) }
	for _, p := range slices.SortedStableFunc(slices.Values(parts), most) {
		row := []table.Cell{
			table.Text(p.Name), table.Styled(stateStyle(string(p.State)), "%s", p.State), {}, {}, {},
			table.Styled(stateStyle(p.Breaker), "%s", p.Breaker),
			table.Text(p.Detail),
		}
		if p.Latency != nil {
			q := board.Quantiles(*p.Latency)
			row[2], row[3], row[4] = msCell(q, q.P50), msCell(q, q.P95), msCell(q, q.P99)
		}
		list.Add(row...)
	}
	return list
}

// urgency returns how urgently a part needs attention.
func urgency(p admin.Part) int {
	switch p.State {
	case admin.PartOK:
		return 0
	case admin.PartIdle:
		return -1
	case admin.PartDown:
		return 2
	case admin.PartDegraded:
	}
	return 1
}

func clientsTable(o overview, chosen choice) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "CLIENT", Least: 10}, {Title: "/S", Right: true},
		{Title: "REFUSED", Right: true, Spare: 1}, {Title: "LEFT", Right: true},
		{Title: "QUOTA", Spare: 2}, {},
	}}
	for _, c := range chosen.clients(o) {
		left, quota, over := quotaCells(c)
		list.Add(
			table.Text(o.nameOf(c.Principal)), rateCell(table.Plain, c.PerSecond), countCell(table.Plain, c.Refused),
			left, quota, over,
		)
	}
	return list
}

// quotaCells returns what is left of a client's quota, the quota, and whether the client
// is over it; empty cells without a quota.
func quotaCells(c board.ClientCount) (left, quota, over table.Cell) {
	if c.Remaining != nil {
		left = table.Styled(table.Plain, "%s of %s", number(int64(*c.Remaining)), number(int64(c.Burst)))
		quota = table.Styled(table.Plain, "%s in %s", number(int64(c.Quota)), seconds(c.Period))
	}
	if c.Over {
		over = table.Styled(table.Bad, "over")
	}
	return left, quota, over
}

func storesTable(o overview, v view) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "STORE", Least: leastStore(v)}, {Title: "ENVIRONMENT", Least: 8, Spare: 1},
		{Title: "ORGANIZATION", Least: 8, Spare: 3}, {Title: "LOCATION", Spare: 2},
		{Title: "/S", Right: true}, {Title: "HITS", Right: true},
	}}
	for _, s := range v.choice.stores(o) {
		list.Add(
			table.Text(cmp.Or(s.Store, "-")), table.Text(o.nameOf(s.Environment)), table.Text(o.nameOf(s.Organization)),
			table.Text(strings.TrimSuffix(s.Plane+"/"+s.Region, "/")),
			rateCell(table.Plain, s.PerSecond), ratioCell(s.Hits, s.Requests),
		)
	}
	return list
}

// leastStore returns the width to which the name of a store may be cut.
func leastStore(v view) int {
	if v.width < standardWidth {
		return 12
	}
	return 40 // a name of the Mule runtime stays readable
}

// codesTable counts refusals by code, most frequent first.
func codesTable(codes []board.CodeCount) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "REFUSED", Least: 10}, {Title: "/S", Right: true}, {Title: "MINUTE", Right: true},
		{Title: "START", Right: true},
	}}
	most := func(a, b board.CodeCount) int {
		return cmp.Or(cmp.Compare(b.Window, a.Window), cmp.Compare(b.Total, a.Total))
	}
	for _, c := range slices.SortedStableFunc(slices.Values(codes), most) {
		list.Add(
			table.Text(c.Code), rateCell(table.Plain, c.PerSecond),
			countCell(table.Plain, c.Window), countCell(table.Plain, c.Total),
		)
	}
	return list
}

func rulesTable(name string, rules []board.RuleCount) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: name, Least: 10}, {Title: "MINUTE", Right: true}, {Title: "START", Right: true},
	}}
	for _, r := range rules {
		list.Add(table.Text(r.Rule), countCell(table.Plain, r.Window), countCell(table.Plain, r.Total))
	}
	return list
}

// refusalsTable lists the last refusals. The request id is shown in full if possible,
// because people search the log for it.
func refusalsTable(o overview) table.Table {
	list := table.Table{Columns: []table.Column{
		{Title: "TIME UTC", Spare: 1}, {Spare: 2}, {Title: "LAST REFUSALS", Least: 14},
		{Title: "CLIENT", Least: 8, Spare: 3}, {Title: "OPERATION", Spare: 4},
		{Title: "REQUEST ID"},
	}}
	for _, r := range o.Traffic.Refusals {
		list.Add(slices.Insert(refusalCells(r), 3, table.Text(o.nameOf(r.Principal)))...)
	}
	return list
}

// refusalCells returns time, status, reason, operation and request id of a refusal.
func refusalCells(r board.Refusal) []table.Cell {
	reason := r.Code
	if r.Rule != "" {
		reason += " by " + r.Rule
	}
	return []table.Cell{
		table.Styled(table.Faint, "%s", r.Time.UTC().Format("15:04:05")), table.Styled(table.Plain, "%d", r.Status),
		table.Styled(table.Warning, "%s", reason), table.Text(r.Operation), table.Text(r.RequestID),
	}
}
