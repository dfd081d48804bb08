package exportgen_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"prunella/thread"
	"prunella/thread/exportgen"
)

var (
	update = flag.Bool("update", false, "write the table of docs/extraction.md anew")
	look   = flag.Uint64("look", 0, "print the conversations of this seed of the development bank, each with what extraction missed or invented")
)

// bar is what precision and recall of the fields in exportgen.Bars must reach.
const bar = 0.9

// seeds of the measured archives. Rules were written while looking at others,
// and never at the wordings of the held-out bank.
var seeds = map[exportgen.Bank][]uint64{
	exportgen.Development: {1101, 1102, 1103, 1104},
	exportgen.HeldOut:     {2201, 2202, 2203, 2204},
}

func extract(t testing.TB, e *thread.Export) []thread.Extraction {
	t.Helper()
	result, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return result.Extractions
}

// TestLook is for whoever writes rules: it shows what was missed, in a
// development archive of their choice.
func TestLook(t *testing.T) {
	if *look == 0 {
		t.Skip("needs -look SEED")
	}
	a, e := zipped(t, exportgen.Options{Seed: *look})
	score, missed := exportgen.Compare(a.Truth, extract(t, e))
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
	for _, m := range missed {
		if strings.Contains(m.Where, "no incident") {
			fmt.Printf("!! %s %s: got %q\n", m.Where, m.Field, m.Got)
		}
	}
	for _, c := range score {
		fmt.Printf("%-14s %4d  precision %.3f  recall %.3f\n", c.Name, c.True, c.Precision(), c.Recall())
	}
}

// TestExtraction measures extraction on archives with a known truth, holds the
// five fields that matter against the bar, and the table in docs/extraction.md
// against the figures.
func TestExtraction(t *testing.T) {
	total := map[exportgen.Bank]exportgen.Score{}
	for _, bank := range both {
		for _, seed := range seeds[bank] {
			a, e := zipped(t, exportgen.Options{Seed: seed, Bank: bank})
			score, _ := exportgen.Compare(a.Truth, extract(t, e))
			total[bank] = total[bank].Add(score)
		}
		for _, name := range exportgen.Bars {
			if c := total[bank].Of(name); c.Precision() < bar || c.Recall() < bar {
				t.Errorf("%s bank: %s: precision %.3f, recall %.3f of %d, below %.1f", bank, name, c.Precision(), c.Recall(), c.True, bar)
			}
		}
	}
	table := format(total)
	path := filepath.Join("..", "..", "docs", "extraction.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !between.Match(doc) {
		t.Fatalf("%s has no table between its marks", path)
	}
	if *update {
		fresh := between.ReplaceAllLiteral(doc, []byte(begin+table+end))
		if err := os.WriteFile(path, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Contains(doc, []byte(begin+table+end)) {
		t.Errorf("the table in %s is not what was measured; run: go test ./thread/exportgen -run TestExtraction -update\n%s", path, table)
	}
}

const (
	begin = "<!-- measured: go test ./thread/exportgen -run TestExtraction -update -->\n"
	end   = "<!-- end of what was measured -->"
)

var between = regexp.MustCompile(`(?s)<!-- measured:.*?<!-- end of what was measured -->`)

func format(total map[exportgen.Bank]exportgen.Score) string {
	var b strings.Builder
	b.WriteString("| field | development: n | precision | recall | held-out: n | precision | recall |\n|---|---|---|---|---|---|---|\n")
	for i, c := range total[exportgen.Development] {
		h := total[exportgen.HeldOut][i]
		name := c.Name
		for _, bar := range exportgen.Bars {
			if bar == name {
				name = "**" + name + "**"
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %.3f | %.3f | %d | %.3f | %.3f |\n", name, c.True, c.Precision(), c.Recall(), h.True, h.Precision(), h.Recall())
	}
	return b.String()
}
