package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"prunella"
	"prunella/app"
	"prunella/client"
	"prunella/skill"
)

// knowledge is what a server knows of skills: a running one through its API, or
// the data of one that does not run.
type knowledge interface {
	Skills(ctx context.Context) ([]client.SkillView, error)
	Skill(ctx context.Context, name prunella.SkillName) (client.SkillView, error)
	Vouch(ctx context.Context, name prunella.SkillName, w client.Word) (client.SkillView, error)
	PutReport(ctx context.Context, r prunella.Report) error
}

// evidence is where the evidence about skills is kept.
type evidence struct {
	Server string `help:"Base URL of the running server." default:"http://127.0.0.1:7070" env:"PRUNELLA_SERVER" placeholder:"URL"`
	Data   string `help:"Data folder of a server that does not run, instead of --server." placeholder:"DIR"`
	Wiki   string `help:"With --data: folder of its wiki; default: the pages that ship with Prunella." type:"path" placeholder:"DIR" env:"PRUNELLA_WIKI"`
	Config string `help:"With --data: its configuration file, for the policy." short:"c" placeholder:"FILE"`
}

func (e evidence) open(c *console) (k knowledge, done func(), err error) {
	if e.Data == "" && e.Config == "" {
		return client.New(e.Server), func() {}, nil
	}
	var cfg app.Config
	if e.Config != "" {
		if cfg, err = app.LoadConfig(e.Config); err != nil {
			return nil, nil, err
		}
	}
	if e.Data != "" {
		cfg.Data = e.Data
	}
	if e.Wiki != "" {
		cfg.Wiki = e.Wiki
	}
	o, err := app.OpenOffline(c.ctx, cfg)
	if prunella.KindOf(err) == prunella.Conflict {
		return nil, nil, &prunella.Error{Kind: prunella.Conflict, Err: err, Remedy: "ask the running server: --server URL"}
	}
	if err != nil {
		return nil, nil, err
	}
	return o, o.Close, nil
}

type skillTrustCmd struct {
	evidence
	Name    string `arg:"" help:"Name of the skill."`
	Vouch   string `help:"Record a person's word about it: healed, partial or failed. It counts half a run." enum:",healed,partial,failed" default:"" placeholder:"WORD"`
	As      string `help:"With --vouch: who says so." placeholder:"WHO"`
	Because string `help:"With --vouch: what you saw." placeholder:"TEXT"`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// trustView is what trust --json prints.
type trustView struct {
	Name         string             `json:"name"`
	Version      string             `json:"version"`
	Hash         string             `json:"hash"`
	Confidence   float64            `json:"confidence"`
	Floor        float64            `json:"floor"`
	Alpha        float64            `json:"alpha"`
	Beta         float64            `json:"beta"`
	Evidence     float64            `json:"evidence"`
	HalfLifeDays float64            `json:"half_life_days"`
	Claimed      float64            `json:"claimed,omitempty"`
	Freshness    string             `json:"freshness"`
	LastVerified *time.Time         `json:"last_verified"`
	Caps         trustCaps          `json:"caps"`
	Gates        []client.TrustGate `json:"gates"`
	Policy       prunella.Decision  `json:"policy"`
	Outcomes     []trustOutcome     `json:"outcomes"` // newest first
}

// trustCaps is how much of what is limited is used.
type trustCaps struct {
	Words   map[string]float64 `json:"words_and_scenarios"` // by version, at most 2 each
	Threads float64            `json:"threads"`             // at most 1
}

// trustOutcome is one outcome with every factor of what it counts.
type trustOutcome struct {
	At      *time.Time `json:"at"` // null when it is not known
	Kind    string     `json:"kind"`
	Ref     string     `json:"ref"`
	Version string     `json:"version"`
	X       float64    `json:"x"`
	W       float64    `json:"w"`
	K       float64    `json:"k"`
	AgeDays *float64   `json:"age_days"`
	Decay   float64    `json:"decay"`
	E       float64    `json:"e"`
	Capped  bool       `json:"capped"`
	By      string     `json:"by,omitempty"`
	Note    string     `json:"note,omitempty"`
}

func (cmd skillTrustCmd) Run(c *console) error {
	if cmd.Vouch == "" && (cmd.As != "" || cmd.Because != "") {
		return usage("--as and --because go with --vouch healed, partial or failed")
	}
	if cmd.Vouch != "" && (strings.TrimSpace(cmd.As) == "" || strings.TrimSpace(cmd.Because) == "") {
		return usage("--vouch needs --as WHO and --because TEXT: a word counts only with its name and reason")
	}
	k, done, err := cmd.open(c)
	if err != nil {
		return err
	}
	defer done()
	name := prunella.SkillName(cmd.Name)
	var v client.SkillView
	if cmd.Vouch != "" {
		v, err = k.Vouch(c.ctx, name, client.Word{Word: cmd.Vouch, By: cmd.As, Because: cmd.Because})
	} else {
		v, err = k.Skill(c.ctx, name)
	}
	if err != nil {
		return err
	}
	t := trusted(v, time.Now())
	if cmd.JSON {
		return printJSON(c.out, t)
	}
	return c.trust(t)
}

func trusted(v client.SkillView, now time.Time) trustView {
	t := trustView{Name: string(v.Skill.Name), Version: v.Skill.Version, Hash: v.Skill.Hash, Confidence: v.Trust.Confidence, Floor: v.Trust.Floor,
		Alpha: v.Trust.Alpha, Beta: v.Trust.Beta, Evidence: v.Trust.Evidence, HalfLifeDays: v.Trust.HalfLife, Claimed: v.Claimed, Freshness: v.Freshness,
		Caps: trustCaps{Words: map[string]float64{}}, Gates: v.Trust.Gates, Policy: v.Policy, Outcomes: []trustOutcome{}}
	if !v.LastVerified.IsZero() {
		t.LastVerified = &v.LastVerified
	}
	for _, term := range v.Trust.Terms {
		o := trustOutcome{Kind: term.Kind, Ref: term.Ref, Version: term.Version, X: term.X, W: term.Base, K: term.Carry, Decay: term.Decay, E: term.Weight,
			Capped: term.Capped, By: term.By, Note: term.Note}
		if !term.At.IsZero() {
			age := max(now.Sub(term.At).Hours()/24, 0)
			o.At, o.AgeDays = &term.At, &age
		}
		switch term.Kind {
		case "person", "scenario":
			t.Caps.Words[term.Version] += term.Base
		case "thread":
			t.Caps.Threads += term.Base
		}
		t.Outcomes = append(t.Outcomes, o)
	}
	return t
}

// widest is how much of a reference the table shows.
const widest = 72

// trust prints how the numbers come about, from the evidence to the gates.
func (c *console) trust(t trustView) error {
	w := c.out
	fmt.Fprintf(w, "%s  %s\n\n", c.paint(bold, t.Name), c.paint(dim, t.Version+" "+t.Hash[:min(12, len(t.Hash))]))
	up, down := 0.0, 0.0
	if len(t.Outcomes) == 0 {
		fmt.Fprintln(w, "No evidence: nothing has run, nobody has spoken, no conversation is named.")
	} else {
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "when\tkind\tversion\tx\tw\tk\tage\tdecay\te = w·k·decay\twhat")
		for _, o := range t.Outcomes {
			when, age := "unknown", "–"
			if o.At != nil {
				when, age = o.At.Local().Format(time.DateOnly), fmt.Sprintf("%.0f d", *o.AgeDays)
			}
			what := o.Ref
			if o.Note != "" {
				what += ": " + o.Note
			}
			what = strings.Join(strings.Fields(what), " ") // one row of the table, whatever somebody wrote
			if r := []rune(what); len(r) > widest {
				what = string(r[:widest-1]) + "…"
			}
			if o.Capped {
				what += " (capped: there is enough of its kind)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%.2f\t%.2f\t%s\t%.3f\t%.4f\t%s\n", when, o.Kind, o.Version, o.X, o.W, o.K, age, o.Decay, o.E, what)
			up, down = up+o.E*o.X, down+o.E*(1-o.X)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s %s\n", c.paint(dim, fmt.Sprintf("%-11s", name)), wrap(fmt.Sprintf(format, args...), 88, 14))
	}
	fmt.Fprintln(w)
	row("alpha", "1 + Σ e·x = 1 + %.4f = %.4f", up, t.Alpha)
	row("beta", "1 + Σ e·(1−x) = 1 + %.4f = %.4f", down, t.Beta)
	row("half-life", "%.0f days: evidence of that age counts half", t.HalfLifeDays)
	for _, version := range slices.SortedFunc(maps.Keys(t.Caps.Words), func(a, b string) int { return skill.CompareVersions(b, a) }) {
		row("cap", "people and scenarios on %s: %.1f of at most 2.0", version, t.Caps.Words[version])
	}
	if t.Caps.Threads > 0 {
		row("cap", "source conversations: %.1f of at most 1.0", t.Caps.Threads)
	}
	row("confidence", "alpha / (alpha + beta) = %.1f %%", 100*t.Confidence)
	row("floor", "5 %% quantile of Beta(%.2f, %.2f) = %.1f %%", t.Alpha, t.Beta, 100*t.Floor)
	if t.Claimed > 0 {
		row("claimed", "%.0f %% by its page; it counts nothing", 100*t.Claimed)
	}
	if t.LastVerified == nil {
		row("freshness", "%s: no run of it was ever verified; only a run in production sets this date", t.Freshness)
	} else {
		row("freshness", "%s: last verified by a run on %s", t.Freshness, t.LastVerified.Local().Format(time.DateOnly))
	}
	fmt.Fprintln(w)
	for _, g := range t.Gates {
		sign, style := "✗", red
		if g.Passed {
			sign, style = "✓", green
		}
		fmt.Fprintf(w, "  %s %s %s\n", c.paint(style, sign), fmt.Sprintf("%-11s", g.Name), wrap(g.Note, 84, 16))
		for _, m := range g.Missing {
			fmt.Fprintf(w, "      missing: %s\n", wrap(m, 84, 15))
		}
	}
	return nil
}
