package main

import (
	"fmt"
	"strings"

	"prunella"
	"prunella/action"
	"prunella/skill"
)

type skillShowCmd struct {
	library
	Skill string `arg:"" help:"Name of a skill, or a file." placeholder:"NAME|FILE"`
	JSON  bool   `help:"Print JSON." name:"json"`
}

// skillView is a skill as show prints it.
type skillView struct {
	listedSkill
	Description string            `json:"description"`
	Trigger     string            `json:"trigger"`
	Provenance  []skill.SourceRef `json:"provenance"`
	Sections    []sectionView     `json:"sections"`
	Steps       stepsView         `json:"steps"`
	Escalation  []skill.Contact   `json:"escalation"`
	FollowUps   []skill.FollowUp  `json:"follow_ups"`
	Links       []string          `json:"links"`
	Executable  prunella.Skill    `json:"executable"`
	Autonomy    []skill.Problem   `json:"autonomy"` // what stands between it and acting alone
}

type sectionView struct {
	Name    string  `json:"name"`
	BudgetS float64 `json:"budget_s"` // seconds, 0 for none
	Line    int     `json:"line"`
	Text    string  `json:"text"`
}

type stepsView struct {
	Diagnosis  []string `json:"diagnosis"`
	Resolution []string `json:"resolution"`
}

func (cmd skillShowCmd) Run(c *console) error {
	d, err := cmd.open(cmd.Skill)
	if err != nil {
		return err
	}
	s, _ := d.Skill()
	trigger, _ := d.Meta("trigger")
	v := skillView{listedSkill: summarized(d), Description: s.Description, Trigger: trigger, Provenance: d.Provenance(), Sections: []sectionView{},
		Steps: stepsView{d.StepsOf(skill.Diagnosis), d.StepsOf(skill.Resolution)}, Escalation: d.Contacts(), FollowUps: d.FollowUps(), Links: d.Links(),
		Executable: s, Autonomy: skill.Autonomy(skill.Lint(d, action.Catalog()))}
	if v.Autonomy == nil {
		v.Autonomy = []skill.Problem{}
	}
	for _, section := range d.Sections {
		v.Sections = append(v.Sections, sectionView{section.Name, section.Budget.Seconds(), section.Line, strings.TrimSpace(d.Text(section.Body))})
	}
	if cmd.JSON {
		return printJSON(c.out, v)
	}
	c.skill(v)
	return nil
}

// skill prints a skill in the order in which it is needed at night.
func (c *console) skill(v skillView) {
	w := c.out
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s %s\n", c.paint(dim, fmt.Sprintf("%-11s", name)), wrap(fmt.Sprintf(format, args...), 88, 14))
	}
	heading := func(text string) { fmt.Fprintf(w, "\n%s\n", c.paint(bold, text)) }
	fmt.Fprintf(w, "%s  %s\n", c.paint(bold, v.Title), c.paint(dim, v.Name+" "+v.Version))
	if v.Trigger != "" {
		row("when", "%s", v.Trigger)
	} else {
		row("when", "%s", v.Description)
	}
	row("owners", "%s", orDash(strings.Join(v.Owners, ", ")))
	row("category", "%s", orDash(v.Category))
	row("pattern", "%s", orDash(v.Pattern))
	if v.ClaimedConfidence != nil {
		row("claimed", "%.0f %% (by its page, not measured)", 100**v.ClaimedConfidence)
	}
	if v.LastVerified != nil {
		row("verified", "%s (by its page)", *v.LastVerified)
	}
	for _, p := range v.Provenance {
		row("from", "%s", p.Text)
	}
	row("file", "%s", v.File)
	row("hash", "%s", v.Hash)
	for _, s := range v.Sections {
		title := s.Name
		if s.BudgetS > 0 {
			title += fmt.Sprintf(" (%.0f min)", s.BudgetS/60)
		}
		heading(title)
		for _, line := range strings.Split(s.Text, "\n") {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	if open := openFollowUps(v.FollowUps); open > 0 {
		heading(fmt.Sprintf("%d of %d follow-ups are open", open, len(v.FollowUps)))
	}
	heading("Alone?")
	switch {
	case len(v.Autonomy) == 0:
		fmt.Fprintln(w, "  Nothing in the file stands between it and acting alone; trust and the policy come on top.")
	case !v.Acts:
		fmt.Fprintln(w, "  It advises and has no actions.")
	}
	for _, p := range v.Autonomy {
		fmt.Fprintf(w, "  line %d: %s; %s\n", p.Line, p.Text, p.Remedy)
	}
}

func openFollowUps(list []skill.FollowUp) int {
	n := 0
	for _, f := range list {
		if !f.Done {
			n++
		}
	}
	return n
}
