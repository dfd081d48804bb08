package exportgen_test

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"prunella/thread"
	"prunella/thread/exportgen"
)

var (
	update = flag.Bool("update", false, "write the tables of docs/extraction.md anew")
	look   = flag.Uint64("look", 0, "print the conversations of this seed, each with what extraction missed or invented")
	bank   = flag.String("bank", string(exportgen.Development), "the bank of -look")
)

// bar is what precision and recall of the fields in exportgen.Bars must reach.
const bar = 0.9

// seeds of the measured archives. Rules are written while looking at others.
var seeds = map[exportgen.Bank][]uint64{
	exportgen.Development: {1101, 1102, 1103, 1104},
	exportgen.HeldOut:     {2201, 2202, 2203, 2204},
	exportgen.Third:       {3301, 3302, 3303, 3304},
	exportgen.Fresh:       {4401, 4402, 4403, 4404},
	exportgen.Fifth:       {5501, 5502, 5503, 5504},
	exportgen.Sixth:       {6601, 6602, 6603, 6604},
	exportgen.Unseen:      {7701, 7702, 7703, 7704},
}

func extract(t testing.TB, e *thread.Export) []thread.Extraction {
	t.Helper()
	result, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return result.Extractions
}

// TestLook is for whoever writes rules: it shows what was missed, in an
// archive of their choice.
func TestLook(t *testing.T) {
	if *look == 0 {
		t.Skip("needs -look SEED")
	}
	a, e := zipped(t, exportgen.Options{Seed: *look, Bank: exportgen.Bank(*bank)})
	found := extract(t, e)
	score, missed := exportgen.Compare(a.Truth, found)
	text := map[string]string{}
	for m, err := range e.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range m.Attachments {
			m.Text += fmt.Sprintf("\n[%s] %s %v", at.Title, at.Text, at.Fields)
		}
		for _, f := range m.Files {
			m.Text += "\n[file " + f.Name + "] " + f.Preview
		}
		text[m.Channel+"/"+m.TS] = fmt.Sprintf("%s %s %s%s: %s", m.TS, thread.Time(m.TS).Format("15:04:05"), m.User, m.Name, m.Text)
	}
	for _, in := range a.Truth.Incidents {
		fmt.Printf("\n=== %s  %s of %s, again: %s\n", in.Key(), in.Family, in.Component, in.RecurrenceOf)
		for _, ts := range in.TS {
			fmt.Println("  ", text[in.Channel+"/"+ts])
		}
		for _, m := range missed {
			if strings.Contains(m.Where, in.Key()) {
				fmt.Printf("  !! %s: want %q, got %q\n", m.Field, m.Want, m.Got)
			}
		}
	}
	for _, x := range found {
		invented := slices.DeleteFunc(slices.Clone(missed), func(m exportgen.Miss) bool { return m.Where != "no incident "+x.Key() })
		if len(invented) == 0 {
			continue
		}
		fmt.Printf("\n=== no incident: %s\n", x.Key())
		for _, m := range x.Messages {
			fmt.Println("  ", text[m.Channel+"/"+m.TS])
		}
		for _, m := range invented {
			fmt.Printf("  !! %s: got %q\n", m.Field, m.Got)
		}
	}
	for _, c := range score {
		fmt.Printf("%-14s %4d  precision %.3f  recall %.3f\n", c.Name, c.True, c.Precision(), c.Recall())
	}
}

// TestExtraction measures extraction on archives with a known truth. The table
// in docs/extraction.md is the record, with the bars that are met and those
// that are missed: no figure may fall below it.
func TestExtraction(t *testing.T) {
	total := map[exportgen.Bank]exportgen.Score{}
	for _, bank := range all {
		for _, seed := range seeds[bank] {
			a, e := zipped(t, exportgen.Options{Seed: seed, Bank: bank})
			score, _ := exportgen.Compare(a.Truth, extract(t, e))
			total[bank] = total[bank].Add(score)
		}
	}
	table := format(total)
	if *update {
		publish(t, accuracy, table)
		return
	}
	published := figures(published(t, accuracy))
	for at, now := range figures(table) {
		was, ok := published[at]
		switch {
		case !ok:
			t.Errorf("%s has no figures for %s", page, at)
		case now[0] < was[0] || now[1] < was[1]:
			t.Errorf("%s: precision and recall %v, published %v", at, now, was)
		case now != was:
			t.Logf("%s: precision and recall %v, better than published %v; run: go test ./thread/exportgen -run TestExtraction -update", at, now, was)
		}
	}
}

var figure = regexp.MustCompile(`^(\d\.\d+) / (\d\.\d+)`)

// format writes "precision / recall (n)" for each field and bank, and whether
// the bar is met where there is one.
func format(total map[exportgen.Bank]exportgen.Score) string {
	var b strings.Builder
	b.WriteString("| field |")
	for _, bank := range all {
		b.WriteString(" " + string(bank) + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
	for i, c := range total[all[0]] {
		barred := slices.Contains(exportgen.Bars, c.Name)
		if barred {
			fmt.Fprintf(&b, "| **%s** |", c.Name)
		} else {
			fmt.Fprintf(&b, "| %s |", c.Name)
		}
		for _, bank := range all {
			c := total[bank][i]
			fmt.Fprintf(&b, " %.3f / %.3f (%d)", c.Precision(), c.Recall(), c.True)
			switch {
			case !barred:
			case c.Precision() >= bar && c.Recall() >= bar:
				b.WriteString(" met")
			default:
				b.WriteString(" **missed**")
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// figures reads a table back: precision and recall by "field, bank".
func figures(table string) map[string][2]string {
	m := map[string][2]string{}
	var banks []string
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, " |")
		name := strings.Trim(cells[0], "|* ")
		if name == "field" {
			banks = cells
		}
		for i, cell := range cells {
			if g := figure.FindStringSubmatch(strings.TrimSpace(cell)); g != nil && i < len(banks) {
				m[name+", "+strings.TrimSpace(banks[i])] = [2]string{g[1], g[2]}
			}
		}
	}
	return m
}
