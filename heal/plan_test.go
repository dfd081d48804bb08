package heal

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"prunella"
)

func catalog() map[string]prunella.Spec {
	out := map[string]prunella.Spec{}
	for name, need := range map[string]string{"keys.activate": "kid", "keys.publish": "kid", "keys.retire": "kid", "keys.redeliver": "service",
		"kubernetes.rollout-restart": "deployment", "kubernetes.rollout-undo": "deployment", "canary.prove": "kid"} {
		out[name] = prunella.Spec{Name: name, Action: true, Effect: prunella.Reversible, Params: []prunella.ParamSpec{{Name: need, Required: true}}}
	}
	return out
}

func input() Input {
	user := prunella.Service{Name: "user", Deployment: "user-deploy"}
	order := prunella.Service{Name: "order", Deployment: "order-deploy"}
	gateway := prunella.Service{Name: "gateway", Deployment: "gateway"}
	return Input{
		Run:      "run-1",
		Incident: prunella.Incident{ID: "inc-1", Onset: noon, Severity: prunella.Critical},
		Cause:    prunella.Cause{Service: "auth", Fault: prunella.FaultPartialKeys, Kids: []string{"new"}, Confidence: 0.9},
		Keys: Keys{Issuer: "auth", Signer: "new", Previous: "old", Failing: "new", Lacking: []prunella.Service{user, order}, Undelivered: []prunella.Service{user},
			Verifiers: []prunella.Service{gateway, order, user}, TokenLifetime: time.Hour, PreviousLastIssued: noon.Add(-4 * time.Second)},
		Services: []prunella.Service{gateway, order, user},
		Catalog:  catalog(),
		Now:      noon.Add(20 * time.Second),
	}
}

func TestPlanRendersASkill(t *testing.T) {
	in := input()
	in.Skill = &prunella.Skill{Name: "s", Path: "s.skill.md", Hash: "abc", Actions: []prunella.ActionRule{
		{Title: "back to ${keys.previous}", Do: "keys.activate", With: map[string]any{"issuer": "${keys.issuer}", "kid": "${keys.previous}"},
			Undo: &prunella.UndoRule{Do: "keys.activate", With: map[string]any{"kid": "${before.signer}"}}},
		{Title: "restart ${item.name}", Do: "kubernetes.rollout-restart", ForEach: "keys.lacking", With: map[string]any{"deployment": "${item.deployment}"}},
		{Do: "canary.prove", With: map[string]any{"kid": "${keys.signer}", "services": "${keys.verifiers.name}"}},
		{Title: "remove ${keys.previous}", Do: "keys.retire", When: "keys.previous_safe", With: map[string]any{"kid": "${keys.previous}"}},
	}}
	run, err := Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range run.Steps {
		names = append(names, s.Name+" "+string(s.State))
	}
	want := []string{"back to old planned", "restart user planned", "restart order planned", "canary.prove planned", "remove old skipped"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("steps %q, want %q", names, want)
	}
	if got := run.Steps[3].Params["services"]; !reflect.DeepEqual(got, []any{"gateway", "order", "user"}) {
		t.Errorf("a list reference keeps its type: %#v", got)
	}
	if got := run.Steps[0].Undo.With["kid"]; got != "${before.signer}" {
		t.Errorf("what is known only later is left alone: %v", got)
	}
	undo, err := UndoParams(prunella.Step{Undo: run.Steps[0].Undo, Before: map[string]any{"signer": "new"}})
	if err != nil || undo["kid"] != "new" {
		t.Errorf("undo %v, %v", undo, err)
	}
	again, err := Plan(in)
	if err != nil || again.Hash != run.Hash {
		t.Errorf("the same plan has the same hash: %v", err)
	}
	in.Keys.Previous = "older"
	if other, err := Plan(in); err != nil || other.Hash == run.Hash {
		t.Errorf("another plan has another hash: %v", err)
	}
}

func TestRemovalWaitsUntilNoTokenCanLive(t *testing.T) {
	in := input()
	in.Skill = &prunella.Skill{Actions: []prunella.ActionRule{{Do: "keys.retire", When: "keys.previous_safe", With: map[string]any{"kid": "${keys.previous}"}}}}
	in.Keys.PreviousUnseen = true
	for _, c := range []struct {
		after time.Duration
		want  prunella.StepState
	}{{time.Hour + time.Minute, prunella.StepSkipped}, {time.Hour + 2*time.Minute, prunella.StepPlanned}} {
		in.Now = noon.Add(c.after)
		run, err := Plan(in)
		if err != nil || run.Steps[0].State != c.want {
			t.Errorf("after %s: %v %v, want %v", c.after, run.Steps[0].State, err, c.want)
		}
	}
	in.Keys.PreviousUnseen = false
	if run, err := Plan(in); err != nil || run.Steps[0].State != prunella.StepSkipped {
		t.Errorf("a key that is still seen must stay: %v %v", run.Steps, err)
	}
}

func TestPlanRefusesWhatItCannotRender(t *testing.T) {
	for name, a := range map[string]prunella.ActionRule{
		`action "keys.explode" is not known`:   {Do: "keys.explode", Line: 7},
		`keys.activate needs "kid"`:            {Do: "keys.activate", Line: 7},
		`${keys.nonsense} is not known`:        {Do: "keys.activate", With: map[string]any{"kid": "${keys.nonsense}"}, Line: 7},
		`for_each "keys.signer" is not a list`: {Do: "keys.activate", ForEach: "keys.signer", Line: 7},
	} {
		in := input()
		in.Skill = &prunella.Skill{Path: "x.skill.md", Actions: []prunella.ActionRule{a}}
		_, err := Plan(in)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "x.skill.md:7") || prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("error %v, want %q with file and line", err, name)
		}
	}
}

func TestASkillCannotDeclareAnActionHarmless(t *testing.T) {
	in := input()
	in.Skill = &prunella.Skill{Actions: []prunella.ActionRule{{Do: "keys.retire", Effect: prunella.Reads, With: map[string]any{"kid": "old"}}}}
	retire := in.Catalog["keys.retire"]
	retire.Effect = prunella.Irreversible
	in.Catalog["keys.retire"] = retire
	run, err := Plan(in)
	if err != nil || run.Steps[0].Effect != prunella.Irreversible {
		t.Errorf("effect %v, %v", run.Steps, err)
	}
}

func TestGenericRemedyUndoesTheChange(t *testing.T) {
	for name, c := range map[string]struct {
		change *prunella.Change
		keys   func(*Keys)
		want   []string
	}{
		"no change, no remedy":     {nil, nil, nil},
		"signer changed":           {&prunella.Change{Name: prunella.ChangeSigner, Kid: "new", Before: "old"}, nil, []string{"keys.activate old", "keys.redeliver new", "canary.prove old"}},
		"previous key not known":   {&prunella.Change{Name: prunella.ChangeSigner, Kid: "new"}, func(k *Keys) { k.Previous = "" }, nil},
		"key removed":              {&prunella.Change{Name: prunella.ChangeKeyRemoved, Kid: "gone"}, func(k *Keys) { k.Refusing = k.Lacking[:1] }, []string{"keys.publish gone", "kubernetes.rollout-restart ", "canary.prove gone"}},
		"deploy":                   {&prunella.Change{Name: prunella.ChangeDeploy, Service: "order", Version: "v2"}, nil, []string{"kubernetes.rollout-undo "}},
		"deploy of an unknown one": {&prunella.Change{Name: prunella.ChangeDeploy, Service: "elsewhere"}, nil, nil},
		"new material is fetched":  {&prunella.Change{Name: prunella.ChangeKeyMaterial, Kid: "new"}, nil, []string{"kubernetes.rollout-restart ", "kubernetes.rollout-restart "}},
	} {
		in := input()
		in.Cause.Change = c.change
		if c.keys != nil {
			c.keys(&in.Keys)
		}
		run, err := Plan(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, s := range run.Steps {
			kid, _ := s.Params["kid"].(string)
			got = append(got, s.Action+" "+kid)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
