package skill

// Field is a key that a block may have.
type Field struct {
	Name     string
	Type     string // text | number | whole number | yes or no | duration | list | condition | reference | mapping | a list of words
	Required bool
	Doc      string
}

// Fields lists the keys of a block ("signal", "check", "action", "escalate") or
// of a mapping inside one ("verify", "undo"), in the order to write them.
func Fields(block string) []Field { return fields[block] }

var fields = map[string][]Field{
	"signal": {
		{"id", "text", true, "name of the rule within the file: a-z, 0-9, -"},
		{"kind", "log | alert | metric | change", true, "what is looked at"},
		{"any", "list", false, "log, alert: phrases, one of which must occur; case and white space do not matter"},
		{"regex", "text", false, "log, alert: RE2 expression that must match; combined with any by or"},
		{"metric", "text", false, "metric: 401.rate, 403.rate, 5xx.rate …"},
		{"change", "text", false, "change: what changed"},
		{"when", "condition", false, "must hold too; required for a metric"},
		{"within", "duration", false, "change, alert: at most this long before the onset"},
		{"weight", "number", false, "how much it says in natural-log odds, more than 0; 1 when left out"},
		{"against", "yes or no", false, "it speaks against this skill"},
	},
	"check": {
		{"id", "text", true, "name of the check within the file: a-z, 0-9, -"},
		{"title", "text", false, "the question, for a person"},
		{"read", "text", true, "name of a read"},
		{"with", "mapping", false, "its parameters"},
		{"timeout", "duration", false, "10s when left out"},
		{"for", "condition", false, "when it holds, the answer speaks for this skill"},
		{"against", "condition", false, "when it holds, the answer speaks against this skill"},
		{"weight", "number", false, "how much it says, more than 0; 1 when left out"},
		{"require", "yes or no", false, "the skill may not act unless for holds"},
	},
	"action": {
		{"id", "text", true, "name of the step within the file: a-z, 0-9, -"},
		{"title", "text", false, "the step as a sentence for a person"},
		{"do", "text", true, "name of an action"},
		{"with", "mapping", false, "its parameters; texts may hold ${…}"},
		{"for_each", "reference", false, "a list; one step for each element, in order, which is ${item}"},
		{"when", "condition", false, "the step is skipped when it does not hold"},
		{"effect", "read | reversible | irreversible", true, "what it does to the world"},
		{"verify", "mapping", false, "how its success is seen; required unless the effect is read"},
		{"undo", "mapping", false, "how it is taken back; without it the skill never runs unattended"},
		{"on_failure", "undo | escalate | continue", false, "undo when left out"},
		{"attempts", "whole number", false, "1 when left out; a step that may have happened is never repeated"},
		{"timeout", "duration", false, "60s when left out"},
	},
	"verify": {
		{"read", "text", true, "name of a read"},
		{"with", "mapping", false, "its parameters; texts may hold ${…}"},
		{"until", "condition", true, "over result; ${…} stands for the value"},
		{"within", "duration", true, "the step has failed when it does not hold by then"},
		{"hold", "duration", false, "it must hold for this long; 0s when left out"},
	},
	"undo": {
		{"do", "text", true, "name of an action, or none-needed"},
		{"with", "mapping", false, "its parameters; texts may hold ${…} and ${before.…}; for none-needed: because, a sentence"},
	},
	"escalate": {
		{"to", "text", true, "@person, owner:service or vendor:name"},
		{"when", "condition", false, "always when left out"},
		{"reason", "text", false, "what the one who is called should know"},
		{"after", "duration", false, "wait this long; at once when left out"},
		{"primary", "yes or no", false, "the one to call when nothing else says whom"},
	},
}

func known(block, name string) (Field, bool) {
	for _, f := range fields[block] {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func names(block string) []string {
	var out []string
	for _, f := range fields[block] {
		out = append(out, f.Name)
	}
	return out
}
