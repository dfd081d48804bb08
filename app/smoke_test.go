package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/heal"
	"prunella/lab"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	fault := os.Getenv("FAULT")
	if fault == "" {
		t.Skip()
	}
	profile := os.Getenv("PROFILE")
	w, err := lab.Start(ctx, lab.Spec{Profile: profile, Seed: time.Now().UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop(context.Background())
	zero, off := 0.0, false
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	a, err := New(Config{Listen: "127.0.0.1:0", Data: t.TempDir(), TimeScale: 20, World: w.Inventory(),
		Policy: heal.Policy{Autonomy: "unattended", Generic: "unattended", MinFloor: &zero, MinEvidence: &zero, RequireFresh: &off}}, "dev", log)
	if err != nil {
		t.Fatal(err)
	}
	a.Start(ctx)
	defer a.Stop(context.Background())
	if err := w.ExportTo(a.URL(), ""); err != nil {
		t.Fatal(err)
	}
	b := backend{a}
	for {
		s, err := b.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		known := 0
		for _, x := range s.Baselines {
			if x.Known {
				known++
			}
		}
		if known >= 7 {
			fmt.Println("learned", s.Intake, s.Baselines)
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	injected := time.Now()
	params := map[string]string{}
	json.Unmarshal([]byte(os.Getenv("PARAMS")), &params)
	rec, err := w.Inject(ctx, fault, params)
	fmt.Printf("INJECTED %v %+v %v\n", time.Since(injected), rec, err)
	end := time.Now().Add(45 * time.Second)
	state := prunella.State("")
	for time.Now().Before(end) {
		incs, _ := b.Incidents(ctx, client.IncidentQuery{Limit: 10})
		if len(incs) > 0 && incs[0].State != state {
			state = incs[0].State
			fmt.Println(">>>", time.Since(injected).Round(time.Millisecond), state, incs[0].Severity, incs[0].Pattern.Pattern, incs[0].StateReason.Text)
		}
		if state == prunella.Resolved || state == prunella.Escalated {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	incs, _ := b.Incidents(ctx, client.IncidentQuery{Limit: 10})
	for _, i := range incs {
		v, _ := b.Incident(ctx, i.ID)
		for _, e := range v.Events {
			fmt.Println("  ", e.At.Sub(injected).Round(time.Millisecond), e.Kind, e.Service, e.Text)
		}
		for _, c := range v.Incident.Causes {
			fmt.Printf("  CAUSE %s %s %.2f %s\n", c.Service, c.Fault, c.Confidence, c.Summary)
			for _, x := range c.For {
				fmt.Println("      +", x.Weight, x.Text)
			}
			for _, x := range c.Against {
				fmt.Println("      -", x.Weight, x.Text)
			}
		}
		for _, r := range v.Runs {
			fmt.Println("  RUN", r.Title, r.State, r.Policy.Allowed, r.Policy.Reason.Text)
			for _, s := range r.Steps {
				fmt.Println("     ", s.Name, s.State, s.Ended.Sub(s.Started).Round(time.Millisecond), s.Output, s.Error)
			}
		}
		fmt.Println("  signals", v.SignalsTotal, "monitors", v.Incident.Monitors, "cascade", v.Incident.Cascade.Reason.Text, v.Incident.Cascade.FullReason.Text)
		fmt.Println("  impact", v.Incident.Impact)
		for _, n := range v.Notifications {
			fmt.Println("  NOTIFY", n.Kind, n.To, n.Title)
		}
	}
	fmt.Printf("counts %+v\n", w.Counts(time.Now().Add(-2*time.Second)))
}
