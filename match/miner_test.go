package match

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
)

func TestGA(t *testing.T) {
	total := 0.0
	for _, sys := range []string{"Apache", "BGL", "HDFS", "Linux", "Mac", "OpenSSH", "Spark", "Zookeeper"} {
		f, err := os.Open(filepath.Join("../../shared/data/loghub", sys, sys+"_2k.log_structured.csv"))
		if err != nil {
			t.Skip(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		ci, ei, ti := -1, -1, -1
		for i, h := range rows[0] {
			switch h {
			case "Content":
				ci = i
			case "EventId":
				ei = i
			case "EventTemplate":
				ti = i
			}
		}
		rows = rows[1:]
		m := newMiner()
		pred := make([]*template, len(rows))
		for _, r := range rows {
			m.add(r[ci])
		}
		for i, r := range rows {
			pred[i] = m.find(r[ci])
		}
		truth := map[string]map[int]bool{}
		got := map[*template]map[int]bool{}
		for i, r := range rows {
			if truth[r[ei]] == nil {
				truth[r[ei]] = map[int]bool{}
			}
			truth[r[ei]][i] = true
			if got[pred[i]] == nil {
				got[pred[i]] = map[int]bool{}
			}
			got[pred[i]][i] = true
		}
		ok := 0
		type bad struct {
			n int
			s string
		}
		var bads []bad
		for e, set := range truth {
			ids := map[*template]int{}
			for i := range set {
				ids[pred[i]]++
			}
			if len(ids) == 1 {
				for p := range ids {
					if len(got[p]) == len(set) {
						ok += len(set)
						goto next
					}
				}
			}
			{
				s := ""
				for p, n := range ids {
					s += fmt.Sprintf("\n       %d/%d %s", n, len(got[p]), p)
					if len(s) > 600 {
						break
					}
				}
				var ex string
				for i := range set {
					ex = rows[i][ti]
				}
				bads = append(bads, bad{len(set), fmt.Sprintf("%s n=%d %s%s", e, len(set), ex, s)})
			}
		next:
		}
		sort.Slice(bads, func(i, j int) bool { return bads[i].n > bads[j].n })
		ga := float64(ok) / float64(len(rows))
		total += ga
		fmt.Printf("== %s GA %.4f templates %d/%d\n", sys, ga, len(got), len(truth))
		for i, b := range bads {
			if i < 6 {
				fmt.Println("  ", b.s)
			}
		}
	}
	fmt.Printf("MEAN %.4f\n", total/8)
}
