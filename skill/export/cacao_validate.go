package export

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	idRule       = regexp.MustCompile(`^([a-z][a-z0-9-]+[a-z0-9])--([0-9a-f]{8}-[0-9a-f]{4}-([1-5])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$`)
	stampRule    = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)\.\d{3}Z$`)
	variableRule = regexp.MustCompile(`^__[a-zA-Z][a-zA-Z0-9_-]{0,199}__$`)
)

// ValidatePlaybook lists what breaks the rules of CACAO 2.0 in a playbook: the
// properties that must be there, the form of identifiers and times, references
// to steps, agents and variables, the ends of branches, and commands without
// content. It knows the step and command types that CACAO writes; any other
// property or type is reported.
func ValidatePlaybook(b []byte) []string {
	var p Playbook
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return []string{err.Error()}
	}
	v := &playbookRules{p: p, uuids: map[string]string{}}
	v.metadata()
	v.steps()
	v.reach()
	return v.wrong
}

type playbookRules struct {
	p     Playbook
	uuids map[string]string // of every object, by its UUID
	wrong []string
}

func (v *playbookRules) say(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// identifier checks the form of an id, its type, and that no object of another
// type has the same UUID.
func (v *playbookRules) identifier(where, id, kind string, versions string) {
	m := idRule.FindStringSubmatch(id)
	switch {
	case m == nil:
		v.say("%s: %q is no identifier", where, id)
	case kind != "" && m[1] != kind:
		v.say("%s: %q is not of type %s", where, id, kind)
	case !strings.Contains(versions, m[3]):
		v.say("%s: %q is not a UUID of version %s", where, id, versions)
	case v.uuids[m[2]] != "" && v.uuids[m[2]] != m[1]:
		v.say("%s: %q has the UUID of a %s", where, id, v.uuids[m[2]])
	default:
		v.uuids[m[2]] = m[1]
	}
}

func (v *playbookRules) metadata() {
	p := v.p
	for _, must := range []struct{ name, value, want string }{{"type", p.Type, "playbook"}, {"spec_version", p.SpecVersion, "cacao-2.0"}} {
		if must.value != must.want {
			v.say("%s must be %q, not %q", must.name, must.want, must.value)
		}
	}
	if p.Name == "" {
		v.say("name is missing")
	}
	v.identifier("id", p.ID, "playbook", "45")
	v.identifier("created_by", p.CreatedBy, "identity", "12345")
	for name, value := range map[string]string{"created": p.Created, "modified": p.Modified} {
		if !stampRule.MatchString(value) {
			v.say("%s: %q is no time in UTC with milliseconds", name, value)
		}
	}
	if p.Modified < p.Created {
		v.say("modified is before created")
	}
	if len(p.PlaybookTypes) > 0 && len(p.PlaybookActivities) == 0 {
		v.say("playbook_activities must name one at least, because playbook_types is there")
	}
	for _, activity := range p.PlaybookActivities {
		if !slices.ContainsFunc(slices.Collect(maps.Values(p.Workflow)), func(s Step) bool {
			return slices.ContainsFunc(s.Commands, func(c Command) bool { return c.PlaybookActivity == activity })
		}) {
			v.say("the activity %s is in no step", activity)
		}
	}
	for name, variable := range p.PlaybookVariables {
		if !variableRule.MatchString(name) || variable.Type == "" {
			v.say("%q is no variable, or has no type", name)
		}
	}
	for id, a := range p.AgentDefinitions {
		v.identifier("agent", id, a.Type, "12345")
		if a.Name == "" {
			v.say("the agent %s has no name", id)
		}
	}
	for _, r := range p.ExternalReferences {
		if r.Name == "" || r.Description == "" && r.URL == "" && r.ExternalID == "" {
			v.say("an external reference needs a name and something else")
		}
	}
}

func (v *playbookRules) steps() {
	p, kinds := v.p, map[string]int{}
	for id, s := range p.Workflow {
		kinds[s.Type]++
		v.identifier("step", id, s.Type, "4")
		next := []string{s.OnCompletion, s.OnSuccess, s.OnFailure, s.OnTrue, s.OnFalse}
		for _, ref := range next {
			if _, there := p.Workflow[ref]; ref != "" && !there {
				v.say("%s leads to %s, which is not there", id, ref)
			}
		}
		if s.OnCompletion != "" && s.OnSuccess+s.OnFailure != "" {
			v.say("%s has on_completion beside on_success or on_failure", id)
		}
		switch s.Type {
		case "start":
			if s.OnCompletion == "" || s.OnSuccess+s.OnFailure != "" {
				v.say("%s must have on_completion only", id)
			}
		case "end":
			if s.OnCompletion+s.OnSuccess+s.OnFailure != "" {
				v.say("%s is an end and leads on", id)
			}
		case "if-condition":
			if s.Condition == "" || s.OnTrue == "" {
				v.say("%s has no condition or no on_true", id)
			}
			v.uses(id, s.Condition)
		case "action":
			v.actionStep(id, s)
		default:
			v.say("%s has the type %q", id, s.Type)
		}
	}
	if p.Workflow[p.WorkflowStart].Type != "start" {
		v.say("workflow_start is no start step of the workflow")
	}
	if _, there := p.Workflow[p.WorkflowException]; p.WorkflowException != "" && !there {
		v.say("workflow_exception is not in the workflow")
	}
	if kinds["start"] != 1 || kinds["end"] == 0 || kinds["action"] == 0 {
		v.say("a workflow needs one start, an end and an action; there are %d, %d, %d", kinds["start"], kinds["end"], kinds["action"])
	}
}

func (v *playbookRules) actionStep(id string, s Step) {
	if len(s.Commands) == 0 {
		v.say("%s has no commands", id)
	}
	if _, there := v.p.AgentDefinitions[s.Agent]; !there {
		v.say("the agent of %s is not defined", id)
	}
	if s.OnCompletion == "" && s.OnSuccess == "" {
		v.say("%s leads nowhere", id)
	}
	for _, name := range slices.Concat(s.InArgs, s.OutArgs) {
		if _, there := v.p.PlaybookVariables[name]; !there {
			v.say("%s uses the variable %s, which is not declared", id, name)
		}
	}
	for _, c := range s.Commands {
		if c.Type != "manual" && c.Type != "bash" {
			v.say("%s has a command of type %q", id, c.Type)
		}
		if (c.Command == "") == (c.CommandB64 == "") {
			v.say("%s has a command that needs one of command and command_b64", id)
		}
		if _, err := base64.StdEncoding.DecodeString(c.CommandB64); err != nil {
			v.say("%s has a command that is not base64: %v", id, err)
		}
	}
}

var variableUse = regexp.MustCompile(`(__[a-zA-Z][\w-]*?__):value`)

func (v *playbookRules) uses(id, text string) {
	for _, m := range variableUse.FindAllStringSubmatch(text, -1) {
		if _, there := v.p.PlaybookVariables[m[1]]; !there {
			v.say("%s uses the variable %s, which is not declared", id, m[1])
		}
	}
}

// reach checks that every step is reached, and none twice on its way.
func (v *playbookRules) reach() {
	seen := map[string]bool{}
	var walk func(id string, path []string)
	walk = func(id string, path []string) {
		if id == "" {
			return
		}
		if slices.Contains(path, id) {
			v.say("%s leads back to itself", id)
			return
		}
		if seen[id] {
			return
		}
		seen[id] = true
		s, path := v.p.Workflow[id], append(slices.Clone(path), id)
		for _, next := range []string{s.OnCompletion, s.OnSuccess, s.OnFailure, s.OnTrue, s.OnFalse} {
			walk(next, path)
		}
	}
	walk(v.p.WorkflowStart, nil)
	walk(v.p.WorkflowException, nil)
	for id := range v.p.Workflow {
		if !seen[id] {
			v.say("nothing leads to %s", id)
		}
	}
	slices.Sort(v.wrong)
}
