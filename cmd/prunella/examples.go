package main

import "strings"

// examples is what --help says below the summary: command lines to be pasted.
func examples(lines ...string) string {
	return "For example:\n\n    " + strings.Join(lines, "\n    ")
}

func (serveCmd) Help() string {
	return examples("prunella serve", "prunella serve --config prunella.yaml", "prunella serve --data /var/lib/prunella --listen 127.0.0.1:8080")
}

func (labCmd) Help() string {
	return examples("prunella lab --faults", "prunella lab --config lab.yaml --export http://127.0.0.1:7070 --fault clock-skew --set skew=-10m")
}

func (scenarioRunCmd) Help() string {
	return examples("prunella scenario run jwks-stale-cache-spike --set alg=ES256 --seed 7", "prunella scenario run --file my.yaml --report html --out report.html",
		"prunella scenario run --all --report junit --out junit.xml") + "\n\nExit code: 0 PASSED, 1 FAILED, 2 wrong file or command line, 3 ERROR."
}

func (incidentCmd) Help() string {
	return examples("prunella incident list --open", "prunella incident show ID", `prunella incident approve ID --reason "the plan is right"`,
		`prunella incident escalate ID --reason "I look at it"`)
}

func (skillCmd) Help() string {
	return examples("prunella skill import runbook.md --out wiki/skills/runbook.skill.md", "prunella skill lint wiki", "prunella skill trust auth-jwks-rotation-spike")
}

func (wikiCmd) Help() string {
	return examples("prunella wiki copy ./wiki", `prunella wiki search "kid mismatch" --wiki ./wiki`, "prunella wiki rename people/sam people/samir --wiki ./wiki --dry-run")
}

func (threadCmd) Help() string {
	return examples("prunella thread import slack-export.zip", "prunella thread extract --wiki ./wiki", "prunella thread accept api-worker-401-rate --as maya --wiki ./wiki")
}

func (keysCmd) Help() string {
	return examples("prunella keys check https://login.example.com", "prunella keys watch auth=https://login.example.com --server http://127.0.0.1:7070",
		"prunella keys serve --config keys.yaml", "prunella keys status --server https://login.example.com")
}

func (mcpCmd) Help() string {
	return examples("prunella mcp --server http://127.0.0.1:7070", "prunella mcp --http 127.0.0.1:7071")
}
