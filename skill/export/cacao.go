package export

import (
	"crypto/sha1" //nolint:gosec // RFC 4122 builds version 5 from it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/skill"
)

// Playbook is a CACAO 2.0 playbook (OASIS, "CACAO Security Playbooks Version
// 2.0", Committee Specification 01, 27 November 2023).
type Playbook struct {
	Type               string              `json:"type"`
	SpecVersion        string              `json:"spec_version"`
	ID                 string              `json:"id"`
	Name               string              `json:"name"`
	Description        string              `json:"description,omitempty"`
	PlaybookTypes      []string            `json:"playbook_types,omitempty"`
	PlaybookActivities []string            `json:"playbook_activities,omitempty"`
	ProcessingSummary  map[string]bool     `json:"playbook_processing_summary,omitempty"`
	CreatedBy          string              `json:"created_by"`
	Created            string              `json:"created"`
	Modified           string              `json:"modified"`
	Labels             []string            `json:"labels,omitempty"`
	ExternalReferences []ExternalReference `json:"external_references,omitempty"`
	PlaybookVariables  map[string]Variable `json:"playbook_variables,omitempty"`
	WorkflowStart      string              `json:"workflow_start"`
	WorkflowException  string              `json:"workflow_exception,omitempty"`
	Workflow           map[string]Step     `json:"workflow"`
	AgentDefinitions   map[string]Agent    `json:"agent_definitions,omitempty"`
}

// ExternalReference is something outside the playbook.
type ExternalReference struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`
	ExternalID  string `json:"external_id,omitempty"`
}

// Variable is a value that the one who runs the playbook knows, or a step finds.
type Variable struct {
	Type        string  `json:"type"`
	Description string  `json:"description,omitempty"`
	Value       *string `json:"value,omitempty"`
	External    bool    `json:"external,omitempty"`
}

// Step is one of start, end, action and if-condition.
type Step struct {
	Type         string    `json:"type"`
	Name         string    `json:"name,omitempty"`
	Description  string    `json:"description,omitempty"`
	Timeout      int64     `json:"timeout,omitempty"` // milliseconds
	OnCompletion string    `json:"on_completion,omitempty"`
	OnSuccess    string    `json:"on_success,omitempty"`
	OnFailure    string    `json:"on_failure,omitempty"`
	Commands     []Command `json:"commands,omitempty"`
	Agent        string    `json:"agent,omitempty"`
	InArgs       []string  `json:"in_args,omitempty"`
	OutArgs      []string  `json:"out_args,omitempty"`
	Condition    string    `json:"condition,omitempty"`
	OnTrue       string    `json:"on_true,omitempty"`
	OnFalse      string    `json:"on_false,omitempty"`
}

// Command is what a step's agent does.
type Command struct {
	Type             string `json:"type"` // manual | bash
	Description      string `json:"description,omitempty"`
	Command          string `json:"command,omitempty"`
	CommandB64       string `json:"command_b64,omitempty"`
	PlaybookActivity string `json:"playbook_activity,omitempty"`
}

// Agent is who does it.
type Agent struct {
	Type        string `json:"type"` // individual | group
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// What the parts of a skill are in CACAO's vocabularies.
const (
	investigates = "analyze-collected-data"
	repairs      = "restore-capabilities"
	notifies     = "deliver-content"
)

// namespace is the one that CACAO gives to identifiers made of a playbook's name and types.
const namespace = "aa7caf3a-d55a-4e9a-b34e-056215fba56a"

// CACAO turns a skill into a playbook. Its checks and actions become steps, or
// the numbered steps of its text where it has no blocks; a check that must hold
// becomes a condition; a step that fails goes to what its action says: its undo,
// the next step, or the escalation. The commands are
// for a person, shell code beside them as bash. at is the time of the export; the
// same skill at the same time gives the same bytes. A skill without any step is
// Invalid.
func CACAO(d *skill.Document, at time.Time) ([]byte, error) {
	s, _ := d.Skill()
	b := &builder{d: d, s: s, p: Playbook{Type: "playbook", SpecVersion: "cacao-2.0", Name: d.Title, Description: s.Description,
		Workflow: map[string]Step{}, PlaybookVariables: map[string]Variable{}, AgentDefinitions: map[string]Agent{}}}
	if b.p.Name == "" {
		b.p.Name = string(s.Name)
	}
	b.metadata(at)
	if err := b.workflow(); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(b.p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the playbook: %w", err)
	}
	out = append(out, '\n')
	if wrong := ValidatePlaybook(out); len(wrong) > 0 {
		return nil, prunella.Errorf(prunella.Internal, "the playbook breaks CACAO 2.0: %s", wrong[0])
	}
	return out, nil
}

type builder struct {
	d     *skill.Document
	s     prunella.Skill
	p     Playbook
	agent string
}

// id makes an identifier of the kind that CACAO wants for steps, version 4, from
// what it identifies, so that an export can be compared with an earlier one.
func (b *builder) id(kind, of string) string {
	sum := sha256.Sum256([]byte(string(b.s.Name) + "\x00" + kind + "\x00" + of))
	return kind + "--" + uuid(sum[:16], 4)
}

func uuid(b []byte, version byte) string {
	b = slices.Clone(b)
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}

func (b *builder) metadata(at time.Time) {
	p := &b.p
	p.PlaybookTypes = []string{"investigation", "remediation", "notification"}
	name, err := json.Marshal(struct { // canonical: keys in order, no white space
		Name  string   `json:"name"`
		Types []string `json:"playbook_types"`
	}{p.Name, p.PlaybookTypes})
	if err != nil {
		name = []byte(p.Name)
	}
	space, _ := hex.DecodeString(strings.ReplaceAll(namespace, "-", ""))
	sum := sha1.Sum(append(space, name...))
	p.ID = "playbook--" + uuid(sum[:16], 5)
	owner := "nobody"
	if len(b.s.Owners) > 0 {
		owner = b.s.Owners[0]
	}
	p.CreatedBy = b.id("identity", owner)
	p.Created = stamp(at)
	p.Modified = p.Created
	if b.s.Category != "" {
		p.Labels = append(p.Labels, b.s.Category)
	}
	if b.s.Pattern != "" {
		p.Labels = append(p.Labels, b.s.Pattern)
	}
	p.ExternalReferences = append(p.ExternalReferences, ExternalReference{Name: string(b.s.Name) + skill.Suffix,
		Description: "the skill that this was exported from, version " + b.s.Version, ExternalID: "sha256:" + b.s.Hash})
	for _, source := range b.d.Provenance() {
		p.ExternalReferences = append(p.ExternalReferences, ExternalReference{Name: "extracted from", Description: source.Text, URL: source.URL})
	}
	a := Agent{Type: "group", Name: "on-call", Description: "whoever is on call"}
	if len(b.s.Owners) > 0 {
		a = Agent{Type: "individual", Name: strings.TrimPrefix(owner, "@"), Description: "owner of the skill"}
	}
	b.agent = b.id(a.Type, owner)
	p.AgentDefinitions[b.agent] = a
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// planned is an action step before it is linked with the next.
type planned struct {
	id   string
	step Step
	must bool // the rest only makes sense when it holds
	easy bool // the rest makes sense when it fails too
	undo *planned
}

func (b *builder) workflow() error {
	diagnosis, resolution := b.checks(), b.actions()
	if len(diagnosis)+len(resolution) == 0 {
		return &prunella.Error{Kind: prunella.Invalid, Op: "export", Where: b.d.Path, Reason: "the skill has no steps, and a playbook needs one",
			Remedy: "write numbered steps under Diagnosis or Resolution"}
	}
	start, end, failed := b.id("start", ""), b.id("end", "done"), b.id("end", "failed")
	w := b.p.Workflow
	w[end] = Step{Type: "end"}
	w[failed] = Step{Type: "end"}
	escalation := b.escalation("failed", "A step failed. "+b.whom())
	w[escalation.id] = link(escalation, failed, failed)
	b.p.WorkflowException = escalation.id

	first, conditions := end, 0
	for i := len(resolution) - 1; i >= 0; i-- {
		action, after := resolution[i], escalation.id
		switch {
		case action.easy:
			after = first
		case action.undo != nil:
			after = action.undo.id
			w[after] = link(*action.undo, escalation.id, escalation.id)
		}
		w[action.id] = link(action, first, after)
		first = action.id
	}
	for i := len(diagnosis) - 1; i >= 0; i-- {
		check := diagnosis[i]
		if check.must && first != end {
			no := b.id("end", "not "+check.id)
			other := b.escalation("not "+check.id, "This is not what the playbook heals: "+check.step.Name+" "+b.whom())
			w[no] = Step{Type: "end"}
			w[other.id] = link(other, no, no)
			after := b.id("end", "after "+check.id)
			w[after] = Step{Type: "end"}
			condition := b.id("if-condition", check.id)
			w[condition] = Step{Type: "if-condition", Name: check.step.Name, Condition: check.step.OutArgs[0] + ":value = true", OnTrue: first, OnFalse: other.id, OnCompletion: after}
			first = condition
			conditions++
		}
		after := escalation.id
		if check.easy {
			after = first
		}
		w[check.id] = link(check, first, after)
		first = check.id
	}
	w[start] = Step{Type: "start", OnCompletion: first}
	b.p.WorkflowStart = start
	b.summary(conditions)
	return nil
}

// link says what follows a step that worked, and one that failed.
func link(p planned, worked, failed string) Step {
	p.step.OnSuccess, p.step.OnFailure = worked, failed
	return p.step
}

// summary says what the workflow uses, and lists its activities.
func (b *builder) summary(conditions int) {
	activities := map[string]bool{}
	temporal, manual := false, true
	for _, s := range b.p.Workflow {
		temporal = temporal || s.Timeout > 0
		for _, c := range s.Commands {
			activities[c.PlaybookActivity] = true
			manual = manual && c.Type == "manual"
		}
	}
	b.p.PlaybookActivities = slices.Sorted(maps.Keys(activities))
	b.p.ProcessingSummary = map[string]bool{"manual_playbook": manual, "if_logic": conditions > 0, "temporal_logic": temporal}
}

func (b *builder) checks() []planned {
	var out []planned
	for _, c := range b.s.Checks {
		name := c.Title
		if name == "" {
			name = c.ID
		}
		text := name + " Look at " + c.Read + parameters(c.With) + "."
		if c.For != "" {
			text += " It speaks for this when: " + c.For + "."
		}
		if c.Against != "" {
			text += " It speaks against it when: " + c.Against + "."
		}
		p := planned{id: b.id("action", "check "+c.ID), must: c.Require, easy: !c.Require, step: b.action(name, text, investigates)}
		p.step.Timeout = c.Timeout.Milliseconds()
		variable := "__" + strings.ReplaceAll(c.ID, "-", "_") + "__"
		b.p.PlaybookVariables[variable] = Variable{Type: "bool", Description: "whether it speaks for this: " + name}
		p.step.OutArgs = []string{variable}
		out = append(out, p)
	}
	if len(out) == 0 {
		out = b.prose(skill.Diagnosis, investigates)
	}
	return out
}

func (b *builder) actions() []planned {
	var out []planned
	for _, a := range b.s.Actions {
		name := a.Title
		if name == "" {
			name = a.ID
		}
		text := name + ": " + a.Do + parameters(a.With) + "."
		for _, part := range []struct{ before, value string }{{"For each of ", a.ForEach}, {"Only when ", a.When}, {"Its effect is ", string(a.Effect)}} {
			if part.value != "" {
				text += " " + part.before + part.value + "."
			}
		}
		if a.Verify != nil {
			text += fmt.Sprintf(" It worked when %s says, within %s: %s.", a.Verify.Read, a.Verify.Within, a.Verify.Until)
		}
		if a.Undo != nil {
			text += " To take it back: " + a.Undo.Do + parameters(a.Undo.With) + "."
		}
		p := planned{id: b.id("action", "action "+a.ID), easy: a.OnFailure == "continue", step: b.action(name, text, repairs)}
		p.step.Timeout = a.Timeout.Milliseconds()
		if a.Undo != nil && a.OnFailure == "undo" {
			p.undo = &planned{id: b.id("action", "undo "+a.ID), step: b.action("Undo: "+name, a.Undo.Do+parameters(a.Undo.With)+".", repairs)}
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		out = b.prose(skill.Resolution, repairs)
	}
	return out
}

func parameters(with map[string]any) string {
	if len(with) == 0 {
		return ""
	}
	text, err := json.Marshal(with)
	if err != nil {
		return ""
	}
	return " with " + string(text)
}

func (b *builder) action(name, text, activity string) Step {
	return Step{Type: "action", Name: name, Agent: b.agent, Commands: []Command{command("manual", text, activity)}}
}

// command writes text that a JSON reader could mistake, with quotes or over
// several lines, in base64, as the specification recommends.
func command(kind, text, activity string) Command {
	c := Command{Type: kind, PlaybookActivity: activity}
	if strings.ContainsAny(text, "\n\t\"\\") {
		c.CommandB64 = base64.StdEncoding.EncodeToString([]byte(text))
	} else {
		c.Command = text
	}
	return c
}

// prose are the steps of a section's text, with the shell code that stands in
// each of them.
func (b *builder) prose(name, activity string) []planned {
	var out []planned
	for i, text := range b.d.StepsOf(name) {
		title, _, _ := strings.Cut(strings.NewReplacer("**", "", "`", "").Replace(text), ". ")
		p := planned{id: b.id("action", fmt.Sprint(name, i)), step: b.action(title, text, activity)}
		for _, code := range b.codeOf(name, i) {
			c := command("bash", b.variables(code), activity)
			p.step.Commands = append(p.step.Commands, c)
		}
		for variable := range b.p.PlaybookVariables {
			if slices.ContainsFunc(p.step.Commands, func(c Command) bool { return strings.Contains(plain(c), variable) }) {
				p.step.InArgs = append(p.step.InArgs, variable)
			}
		}
		slices.Sort(p.step.InArgs)
		out = append(out, p)
	}
	return out
}

func plain(c Command) string {
	if text, err := base64.StdEncoding.DecodeString(c.CommandB64); err == nil && c.CommandB64 != "" {
		return string(text)
	}
	return c.Command
}

// codeOf is the shell code between a numbered step of a section and the next.
func (b *builder) codeOf(name string, n int) []string {
	var lines []int
	for _, s := range b.d.Steps {
		if skill.SectionNamed(s.Section) == name {
			lines = append(lines, s.Line)
		}
	}
	if n >= len(lines) {
		return nil
	}
	var out []string
	for _, block := range b.d.Blocks {
		inside := block.Line > lines[n] && (n+1 == len(lines) || block.Line < lines[n+1]) && skill.SectionNamed(block.Section) == name
		if inside && slices.Contains(shells, block.Language) && strings.TrimSpace(block.Code) != "" {
			out = append(out, strings.TrimSpace(promptSign.ReplaceAllString(strings.ReplaceAll(block.Code, "\r\n", "\n"), "")))
		}
	}
	return out
}

// variables makes playbook variables of what has to be filled in, <like this>.
func (b *builder) variables(code string) string {
	return placeholder.ReplaceAllStringFunc(code, func(p string) string {
		name := "__" + strings.Trim(notInName.ReplaceAllString(strings.ToLower(p), "_"), "_") + "__"
		b.p.PlaybookVariables[name] = Variable{Type: "string", Description: "fills in " + p, External: true}
		return name + ":value"
	})
}

func (b *builder) escalation(what, text string) planned {
	return planned{id: b.id("action", "escalate "+what), step: b.action("Escalate", text, notifies)}
}

// whom is the escalation in one text.
func (b *builder) whom() string {
	var parts []string
	for _, e := range b.s.Escalations {
		text := "Call " + e.To
		if e.When != "" {
			text += " when " + e.When
		}
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		for _, c := range b.d.Contacts() {
			parts = append(parts, c.Text)
		}
	}
	if len(parts) == 0 {
		return "Call whoever is on call, with what was found and tried."
	}
	return strings.Join(parts, ". ") + "."
}
