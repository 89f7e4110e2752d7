package main

import (
	"cmp"
	"slices"
	"strings"
)

// The widths from which on two lists are shown side by side.
const (
	spendingFrom = 76
	rulesFrom    = 76
	busiestFrom  = 120
)

// blocksOf returns the blocks below the headlines from top to bottom, without empty
// lists.
func blocksOf(o overview, width int) []block {
	t := o.Traffic
	var blocks []block
	add := func(least, pairedFrom int, tables ...table) {
		tables = slices.DeleteFunc(tables, func(t table) bool { return len(t.rows) == 0 })
		if len(tables) == 2 && width >= pairedFrom {
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
	add(1, busiestFrom, clientsTable(t.Clients), storesTable(t.Stores))
	add(1, 0, codesTable(t.Codes))
	add(2, 0, refusalsTable(t.Refusals))
	add(1, rulesFrom, rulesTable("WOULD BE DENIED BY", t.Shadow), rulesTable("FAILED RULE", t.PolicyErrors))
	return blocks
}

// outcomeTitles lists the outcomes in the order in which they are shown, and the order
// in which they are dropped on a narrow screen.
var outcomeTitles = []struct {
	outcome, title string
	spare          int
}{
	{"hit", "HIT", 0}, {"upstream_ok", "OK", 3}, {"upstream_client_error", "4XX", 4}, {"upstream_error", "FAILED", 1}, {"refused", "REFUSED", 2},
	{"local", "LOCAL", 5}, {"client_left", "GONE", 6},
}

// requestsTable counts requests by outcome.
func requestsTable(t traffic) table {
	list := table{columns: []column{{title: "REQUESTS"}, {title: "ALL", right: true}}}
	second, minute, start := []cell{say(plain, "per second")}, []cell{say(plain, "last minute")}, []cell{say(plain, "since start")}
	var all count
	for _, o := range t.Outcomes {
		all = count{all.PerSecond + o.PerSecond, all.Window + o.Window, all.Total + o.Total}
	}
	put := func(s style, n count) {
		second, minute, start = append(second, rateCell(s, n.PerSecond)), append(minute, countCell(s, n.Window)), append(start, countCell(s, n.Total))
	}
	put(bold, all)
	for _, known := range outcomeTitles {
		var n count
		for _, o := range t.Outcomes {
			if o.Outcome == known.outcome {
				n = o.count
			}
		}
		s := plain
		if known.outcome == "upstream_error" && n.Window > 0 {
			s = bad
		}
		list.columns = append(list.columns, column{title: known.title, right: true, spare: known.spare})
		put(s, n)
	}
	list.rows = [][]cell{second, minute, start}
	return list
}

// timingsTable shows the latency of requests in the last minute.
func timingsTable(t traffic) table {
	list := table{columns: []column{{title: "LATENCY MS"}, {title: "P50", right: true}, {title: "P95", right: true}, {title: "P99", right: true}}}
	for _, row := range []struct {
		name string
		of   quantiles
	}{{"all", t.Latencies.All}, {"cache hits", t.Latencies.Hit}, {"upstream", t.Latencies.Upstream}} {
		list.rows = append(list.rows, []cell{say(plain, "%s", row.name), msCell(&row.of, row.of.P50), msCell(&row.of, row.of.P95), msCell(&row.of, row.of.P99)})
	}
	return list
}

// spendingTable shows the requests sent to Object Store, and those that the cache
// saved.
func spendingTable(t traffic) table {
	list := table{columns: []column{{title: "OBJECT STORE"}, {title: "MINUTE", right: true}, {title: "START", right: true}}}
	var hits count
	for _, o := range t.Outcomes {
		if o.Outcome == "hit" {
			hits = o.count
		}
	}
	list.rows = append(list.rows, []cell{say(plain, "hit ratio"), ratioCell(hits.Window, t.Lookups.Window), ratioCell(hits.Total, t.Lookups.Total)})
	for _, row := range []struct {
		name string
		of   count
	}{{"requests", t.Upstream}, {"units", t.UpstreamUnits}, {"saved", t.Saved.Requests}, {"units saved", t.Saved.Units}} {
		list.rows = append(list.rows, []cell{say(plain, "%s", row.name), countCell(plain, row.of.Window), countCell(plain, row.of.Total)})
	}
	return list
}

func partsTable(parts []part) table {
	list := table{columns: []column{
		{title: "PART", least: 10}, {title: "STATE"}, {title: "P50 MS", right: true, spare: 1}, {title: "P95 MS", right: true, spare: 4},
		{title: "P99 MS", right: true, spare: 2}, {title: "BREAKER", spare: 3}, {title: "DETAIL", least: 12, spare: 5},
	}}
	for _, p := range slices.SortedStableFunc(slices.Values(parts), func(a, b part) int { return cmp.Compare(urgency(b), urgency(a)) }) {
		row := []cell{
			say(plain, "%s", p.Name), say(stateStyle(p.State), "%s", p.State), {}, {}, {}, say(stateStyle(p.Breaker), "%s", p.Breaker),
			say(plain, "%s", p.Detail),
		}
		if q := p.Latency; q != nil {
			row[2], row[3], row[4] = msCell(q, q.P50), msCell(q, q.P95), msCell(q, q.P99)
		}
		list.rows = append(list.rows, row)
	}
	return list
}

// urgency returns how urgently a part needs attention.
func urgency(p part) int {
	switch p.State {
	case "ok":
		return 0
	case "idle":
		return -1
	case "down":
		return 2
	}
	return 1
}

func clientsTable(clients []clientCount) table {
	list := table{columns: []column{
		{title: "CLIENT", least: 10}, {title: "/S", right: true}, {title: "REFUSED", right: true, spare: 1}, {title: "LEFT", right: true},
		{title: "QUOTA", spare: 2}, {},
	}}
	for _, c := range clients {
		row := []cell{say(plain, "%s", c.Principal), rateCell(plain, c.PerSecond), countCell(plain, c.Refused), {}, {}, {}}
		if c.Remaining != nil {
			row[3] = say(plain, "%s of %s", number(*c.Remaining), number(c.Burst))
			row[4] = say(plain, "%s in %s", number(c.Quota), seconds(c.Period))
		}
		if c.Over {
			row[5] = say(bad, "over")
		}
		list.rows = append(list.rows, row)
	}
	return list
}

func storesTable(stores []storeCount) table {
	list := table{columns: []column{
		{title: "STORE", least: 12}, {title: "ENVIRONMENT", least: 8, spare: 1}, {title: "ORGANIZATION", least: 8, spare: 3}, {title: "LOCATION", spare: 2},
		{title: "/S", right: true}, {title: "HITS", right: true},
	}}
	for _, s := range stores {
		list.rows = append(list.rows, []cell{
			say(plain, "%s", cmp.Or(s.Store, "-")), say(plain, "%s", s.Environment), say(plain, "%s", s.Organization),
			say(plain, "%s", strings.TrimSuffix(s.Plane+"/"+s.Region, "/")), rateCell(plain, s.PerSecond), ratioCell(s.Hits, s.Requests),
		})
	}
	return list
}

// codesTable counts refusals by code, most frequent first.
func codesTable(codes []codeCount) table {
	list := table{columns: []column{{title: "REFUSED", least: 10}, {title: "/S", right: true}, {title: "MINUTE", right: true}, {title: "START", right: true}}}
	most := func(a, b codeCount) int {
		return cmp.Or(cmp.Compare(b.Window, a.Window), cmp.Compare(b.Total, a.Total))
	}
	for _, c := range slices.SortedStableFunc(slices.Values(codes), most) {
		list.rows = append(list.rows, []cell{say(plain, "%s", c.Code), rateCell(plain, c.PerSecond), countCell(plain, c.Window), countCell(plain, c.Total)})
	}
	return list
}

func rulesTable(name string, rules []ruleCount) table {
	list := table{columns: []column{{title: name, least: 10}, {title: "MINUTE", right: true}, {title: "START", right: true}}}
	for _, r := range rules {
		list.rows = append(list.rows, []cell{say(plain, "%s", r.Rule), countCell(plain, r.Window), countCell(plain, r.Total)})
	}
	return list
}

// refusalsTable lists the last refusals. The request id is shown in full if possible,
// because people search the log for it.
func refusalsTable(refusals []refusal) table {
	list := table{columns: []column{
		{title: "TIME UTC", spare: 1}, {spare: 2}, {title: "LAST REFUSALS", least: 14}, {title: "CLIENT", least: 8, spare: 3},
		{title: "OPERATION", spare: 4}, {title: "REQUEST ID"},
	}}
	for _, r := range refusals {
		reason := r.Code
		if r.Rule != "" {
			reason += " by " + r.Rule
		}
		list.rows = append(list.rows, []cell{
			say(faint, "%s", r.Time.UTC().Format("15:04:05")), say(plain, "%d", r.Status), say(warning, "%s", reason), say(plain, "%s", r.Principal),
			say(plain, "%s", r.Operation), say(plain, "%s", r.RequestID),
		})
	}
	return list
}
