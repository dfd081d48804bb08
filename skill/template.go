package skill

import "strings"

// Template is the beginning of a skill: every section, with what belongs there,
// and no block that could act before somebody has written it.
func Template(name, title, owner string) string {
	if title == "" {
		title = titleFromName(name)
	}
	front := FrontMatter(name, "Use when TODO: say in one sentence what is seen when this skill is the right one.",
		[]Pair{{"category", "engineering"}, {"version", "0.1.0"}, {"owners", owner}})
	return front + strings.ReplaceAll(templateBody, "TITLE", title)
}

const templateBody = `
# TITLE

## Symptoms

- TODO: what is seen, with its figures: a metric against its baseline, a log line, an alert.

## Diagnosis (3 min)

1. TODO: what to look at first, and which answer means that this is something else.

## Resolution (5 min)

1. TODO: the step that heals, with its command.
2. TODO: how to see that it worked, and within which time.

## Escalation

- TODO: whom to call first, and under which condition somebody else.

## Why this keeps happening

TODO: the cause behind the cause.

## Prevention follow-ups

- [ ] TODO: what would keep it from coming back.

## Source

TODO: the conversation or the incident that taught this, with its day.

## See also

- TODO: skills that look alike, people, services: write their pages as links in double brackets.
`
