package exportgen_test

import (
	"testing"
	"time"

	"prunella/thread"
	"prunella/thread/exportgen"
)

// told makes the extraction that knows the whole truth.
func told(t *exportgen.Truth) []thread.Extraction {
	var list []thread.Extraction
	for _, in := range t.Incidents {
		at := func(ts string) thread.Source { return thread.Source{Channel: in.Channel, TS: ts} }
		said := func(list []exportgen.Said) (out []thread.Sentence) {
			for _, s := range list {
				out = append(out, thread.Sentence{Text: s.Text, Source: at(s.TS)})
			}
			return out
		}
		commands := func(list []exportgen.Command) (out []thread.Command) {
			for _, c := range list {
				kind := map[string]string{"bash": thread.KindCommand, "sql": thread.KindQuery}[c.Lang]
				if kind == "" {
					kind = thread.KindConfig
				}
				out = append(out, thread.Command{Text: c.Text, Lang: c.Lang, Kind: kind})
			}
			return out
		}
		x := thread.Extraction{Channel: in.Channel, RootTS: in.RootTS, Reporter: "@" + in.Reporter, Symptoms: said(in.Symptoms), RuledOut: said(in.RuledOut),
			Verification: said(in.Verification), Escalation: said(in.Escalation), Recurs: said(in.Recurs), Commands: commands(in.Commands),
			Started: in.Started, Diagnosed: in.Diagnosed, Fixed: in.Fixed, Resolved: in.Resolved, RecurrenceOf: in.RecurrenceOf}
		for _, o := range in.Owners {
			x.Owners = append(x.Owners, "@"+o)
		}
		for i, a := range in.Attempts {
			if a.Outcome == thread.Worked {
				x.Worked = append(x.Worked, i)
			}
			x.Tried = append(x.Tried, thread.Attempt{Outcome: a.Outcome, Commands: commands(a.Commands), Sources: []thread.Source{at(a.TS[0])}})
		}
		for _, f := range in.FollowUps {
			x.FollowUps = append(x.FollowUps, thread.FollowUp{Text: f.Text, Done: f.Done, Source: at(f.TS)})
		}
		for _, ts := range in.TS {
			x.Messages = append(x.Messages, at(ts))
		}
		list = append(list, x)
	}
	return list
}

func TestTheTruthScoresFull(t *testing.T) {
	for _, bank := range all {
		truth := exportgen.Generate(exportgen.Options{Seed: 3, Bank: bank}).Truth
		score, misses := exportgen.Compare(truth, told(truth))
		for _, c := range score {
			if c.Precision() != 1 || c.Recall() != 1 || c.True == 0 {
				t.Errorf("%s %s: precision %.3f, recall %.3f of %d", bank, c.Name, c.Precision(), c.Recall(), c.True)
			}
		}
		if len(misses) > 0 {
			t.Errorf("%v", misses[0])
		}
	}
}

// TestScoreFalls spoils one thing at a time; its field must notice.
func TestScoreFalls(t *testing.T) {
	truth := exportgen.Generate(exportgen.Options{Seed: 4}).Truth
	for name, spoil := range map[string]func(x *thread.Extraction){
		"commands":  func(x *thread.Extraction) { x.Commands[0].Text += " --force" },
		"owners":    func(x *thread.Extraction) { x.Owners = append(x.Owners, "@nobody") },
		"started":   func(x *thread.Extraction) { x.Started = x.Started.Add(3 * time.Minute) },
		"resolved":  func(x *thread.Extraction) { x.Resolved = time.Time{} },
		"times":     func(x *thread.Extraction) { x.Fixed = x.Fixed.Add(-5 * time.Minute) },
		"symptoms":  func(x *thread.Extraction) { x.Symptoms[0].Source.TS = "1.0" },
		"reporter":  func(x *thread.Extraction) { x.Reporter = "@nobody" },
		"outcome":   func(x *thread.Extraction) { x.Worked = nil; x.Tried = nil },
		"ruled out": func(x *thread.Extraction) { x.RuledOut = append(x.RuledOut, x.Symptoms[0]) },
	} {
		got := told(truth)
		spoil(&got[0])
		score, misses := exportgen.Compare(truth, got)
		if c := score.Of(name); c.Precision() == 1 && c.Recall() == 1 || len(misses) == 0 {
			t.Errorf("%s: spoiled and not noticed", name)
		}
	}
	got := told(truth)
	for i := range got {
		got[i].RecurrenceOf = ""
	}
	if score, _ := exportgen.Compare(truth, got); score.Of("recurrence").Recall() != 0 {
		t.Error("no links, and yet a recall")
	}
	for i := range got[1:] {
		got[i+1].RecurrenceOf = got[0].Key()
	}
	if score, _ := exportgen.Compare(truth, got); score.Of("recurrence").Precision() > 0.3 {
		t.Error("everything linked, and yet precise")
	}
	if score, _ := exportgen.Compare(truth, append(told(truth), thread.Extraction{Channel: "random", RootTS: "1.0", Owners: []string{"@x"}})); score.Of("conversations").Precision() == 1 || score.Of("owners").Precision() == 1 {
		t.Error("an invented incident went unnoticed")
	}
}

// TestWhatMayStandDoesNotHurt names somebody who repairs while another one
// commands, and splits what one message tells of two attempts.
func TestWhatMayStandDoesNotHurt(t *testing.T) {
	wrong := exportgen.Attempt{TS: []string{"2.0"}, Outcome: thread.Failed, Commands: []exportgen.Command{{Text: "reboot", Lang: "bash"}}}
	right := exportgen.Attempt{TS: []string{"2.0", "3.0"}, Outcome: thread.Worked, Commands: []exportgen.Command{{Text: "renew", Lang: "bash"}}}
	truth := &exportgen.Truth{Incidents: []*exportgen.Incident{{Channel: "ops", RootTS: "1.0", TS: []string{"1.0", "2.0", "3.0"},
		Owners: []string{"maya"}, AlsoOwners: []string{"sam"}, Attempts: []exportgen.Attempt{wrong, right}}}}
	for _, c := range []struct {
		owners            []string
		precision, recall float64
	}{
		{[]string{"@maya"}, 1, 1},
		{[]string{"@maya", "@sam"}, 1, 1},
		{[]string{"@sam"}, 1, 0},
		{[]string{"@maya", "@jon"}, 0.5, 1},
	} {
		got := told(truth)
		got[0].Owners = c.owners
		got[0].Tried[1].Sources[0].TS = "2.0"
		score, _ := exportgen.Compare(truth, got)
		if o := score.Of("owners"); o.Precision() != c.precision || o.Recall() != c.recall {
			t.Errorf("owners %v: precision %.2f, recall %.2f", c.owners, o.Precision(), o.Recall())
		}
		if o := score.Of("outcome"); o.Precision() != 1 || o.Recall() != 1 {
			t.Errorf("two attempts in a message: precision %.2f, recall %.2f", o.Precision(), o.Recall())
		}
	}
}
