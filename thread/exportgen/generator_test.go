package exportgen_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prunella/thread"
	"prunella/thread/exportgen"
)

var all = exportgen.Banks()

// zipped makes an archive and opens it as a user would.
func zipped(t testing.TB, o exportgen.Options) (*exportgen.Archive, *thread.Export) {
	t.Helper()
	a := exportgen.Generate(o)
	dir := filepath.Join(t.TempDir(), "export")
	if err := a.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	e, err := thread.OpenExport(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return a, e
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, bank := range all {
		var x, y, z bytes.Buffer
		for w, seed := range map[*bytes.Buffer]uint64{&x: 5, &y: 5, &z: 6} {
			if err := exportgen.Generate(exportgen.Options{Seed: seed, Bank: bank}).WriteZip(w); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(x.Bytes(), y.Bytes()) {
			t.Errorf("%s: one seed gave two archives", bank)
		}
		if bytes.Equal(x.Bytes(), z.Bytes()) {
			t.Errorf("%s: two seeds gave one archive", bank)
		}
	}
}

// TestTruthStandsInTheArchive reads archives with package thread and looks for
// every piece of the truth in the message it names.
func TestTruthStandsInTheArchive(t *testing.T) {
	for _, bank := range all {
		for seed := range uint64(2) {
			a, e := zipped(t, exportgen.Options{Seed: seed, Bank: bank})
			text := map[string]string{}
			present := map[string]int{}
			count := map[string]int{}
			n := 0
			for m, err := range e.Messages() {
				if err != nil {
					t.Fatal(err)
				}
				n++
				all := m.Text
				for _, f := range m.Files {
					all += "\n" + f.Preview
				}
				for _, at := range m.Attachments {
					all += "\n" + at.Title + "\n" + at.Text
				}
				text[m.Channel+"/"+m.TS] = unescape(all)
				if m.ThreadTS != "" && m.ThreadTS != m.TS {
					present[m.Channel+"/"+m.ThreadTS]++
				}
				if m.Replies > 0 {
					count[m.Channel+"/"+m.TS] = m.Replies
				}
			}
			if n != a.Messages || len(a.Truth.Incidents) < 20 || n < 20*len(a.Truth.Incidents) {
				t.Fatalf("%s/%d: %d messages read of %d, %d incidents", bank, seed, n, a.Messages, len(a.Truth.Incidents))
			}
			for key, want := range count {
				if missing := want - present[key]; missing != a.Truth.Gaps[key] {
					t.Errorf("%s/%d: %s lacks %d replies, the truth says %d", bank, seed, key, missing, a.Truth.Gaps[key])
				}
			}
			repeats := 0
			for _, in := range a.Truth.Incidents {
				find := func(what, ts, words string) {
					if !strings.Contains(text[in.Channel+"/"+ts], words) {
						t.Errorf("%s/%d: %s of %s: %q is not in message %s: %q", bank, seed, what, in.Key(), words, ts, text[in.Channel+"/"+ts])
					}
				}
				for what, list := range map[string][]exportgen.Said{"symptoms": in.Symptoms, "ruled out": in.RuledOut, "verification": in.Verification, "escalation": in.Escalation, "recurs": in.Recurs} {
					for _, s := range list {
						find(what, s.TS, s.Text)
					}
				}
				for _, f := range in.FollowUps {
					find("follow-up", f.TS, f.Text)
				}
				whole := ""
				for _, ts := range in.TS {
					whole += text[in.Channel+"/"+ts] + "\n"
				}
				for _, c := range in.Commands {
					if !strings.Contains(whole, c.Text) {
						t.Errorf("%s/%d: %s does not contain the command %q", bank, seed, in.Key(), c.Text)
					}
				}
				if !slices.ContainsFunc(in.Attempts, func(a exportgen.Attempt) bool { return a.Outcome == thread.Worked }) {
					t.Errorf("%s/%d: nothing worked in %s", bank, seed, in.Key())
				}
				if in.Started.IsZero() || in.Diagnosed.IsZero() || in.Fixed.Before(in.Started) || in.Resolved.Before(in.Fixed) || len(in.Owners) == 0 || in.Reporter == "" {
					t.Errorf("%s/%d: times or people of %s: %+v", bank, seed, in.Key(), in)
				}
				if in.RecurrenceOf != "" {
					repeats++
				}
				if strings.Contains(whole, "{") && strings.Contains(whole, "{comp}") || strings.Contains(whole, "\x00") {
					t.Errorf("%s/%d: an empty slot in %s", bank, seed, in.Key())
				}
			}
			if repeats == 0 {
				t.Errorf("%s/%d: no recurrence", bank, seed)
			}
			for _, p := range slices.Concat(a.Truth.Secrets, a.Truth.Lookalikes) {
				if !strings.Contains(text[p.Channel+"/"+p.TS], p.Value) {
					t.Errorf("%s/%d: the planted %s is not in its message", bank, seed, p.Kind)
				}
			}
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// TestPlantedSecretsAreRedacted holds the redaction of package thread against
// what was planted: all secrets go, all lookalikes stay.
func TestPlantedSecretsAreRedacted(t *testing.T) {
	secrets, lookalikes := 0, 0
	for _, bank := range all {
		for seed := range uint64(2) {
			a, e := zipped(t, exportgen.Options{Seed: seed, Bank: bank, Chatter: 2500})
			r := thread.NewRedactor()
			texts := map[string]string{}
			for m, err := range e.Messages() {
				if err != nil {
					t.Fatal(err)
				}
				texts[m.Channel+"/"+m.TS] = fmt.Sprintf("%+v", r.Message(m))
			}
			for _, p := range a.Truth.Secrets {
				if secrets++; strings.Contains(texts[p.Channel+"/"+p.TS], p.Value) {
					t.Errorf("a %s survived: %s", p.Kind, texts[p.Channel+"/"+p.TS])
				}
			}
			for _, p := range a.Truth.Lookalikes {
				if lookalikes++; !strings.Contains(texts[p.Channel+"/"+p.TS], p.Value) {
					t.Errorf("a %s was taken for a secret: %s", p.Kind, texts[p.Channel+"/"+p.TS])
				}
			}
		}
	}
	if secrets < 30 || lookalikes < 30 {
		t.Errorf("only %d secrets and %d lookalikes were planted", secrets, lookalikes)
	}
}
