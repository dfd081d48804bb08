package match

import (
	"regexp"
	"slices"
	"strings"

	"prunella"
	"prunella/said"
)

// How a text names the service that it is about: before the word service, after
// the labels that loggers use for it, as who issues tokens; and what a monitor's
// own name adds to that of the service.
var (
	namedService = regexp.MustCompile(`(?i)\b([a-z][a-z0-9]*(?:[-_][a-z0-9]+)*)[ _-](?:micro)?(?:service|svc)\b`)
	labelService = regexp.MustCompile(`(?i)\b(?:service(?:[._]?name)?|svc|app|application|component|deployment)["']?\s*[:=]\s*["']?([a-z][a-z0-9]*(?:[-_][a-z0-9]+)*)`)
	namedIssuer  = regexp.MustCompile(`(?i)\b(auth|authentication|oauth2?|identity|token|sso|login|idp)[ _-](?:server|provider|issuer)\b`)
	watcherWords = regexp.MustCompile(`(?i)[ _-]+(?:monitor(?:ing)?|alerts?|check|watch(?:er)?|probe|service|svc)$`)
)

// serviceOf names what a text is about when its sender did not say: the
// service of its attributes, the first that the text itself names, or else
// what the monitor watches. Signals of one monitor then stay together, and
// nothing that was told is left out of an incident. An alert, whose sender
// speaks for everybody, is only taken by its own words.
func (d *Detector) serviceOf(s prunella.Signal) string {
	for _, key := range []string{"service.name", "service", "app", "k8s.deployment.name"} {
		if v := s.Attr(key); v != "" && len(v) <= 128 {
			return v
		}
	}
	body := s.Body[:min(len(s.Body), maxLine)]
	for _, re := range []*regexp.Regexp{labelService, namedService, namedIssuer} {
		for _, m := range re.FindAllStringSubmatch(body, 8) {
			if name := strings.ToLower(m[1]); !said.NoName(name) {
				return d.asKnown(name)
			}
		}
	}
	if s.Kind == prunella.KindAlert || slices.Contains([]string{"signals", "otlp", "alertmanager"}, s.Source) || len(s.Source) > 128 {
		return ""
	}
	name := strings.ToLower(strings.TrimSpace(s.Source))
	for {
		cut := watcherWords.ReplaceAllString(name, "")
		if cut == name || cut == "" {
			break
		}
		name = cut
	}
	return d.asKnown(strings.Join(strings.Fields(name), "-"))
}

// asKnown returns the name under which a service has spoken before, if it has.
func (d *Detector) asKnown(name string) string {
	for _, try := range []string{name, name + "-service", name + "-svc", name + "-api"} {
		if d.Services[try] != nil {
			return try
		}
	}
	return name
}

// levels are the words and numbers (bunyan, pino) for how bad a line is.
var levels = map[string]prunella.Severity{
	"warn": prunella.Warning, "warning": prunella.Warning, "40": prunella.Warning,
	"error": prunella.High, "err": prunella.High, "severe": prunella.High, "50": prunella.High,
	"fatal": prunella.Critical, "critical": prunella.Critical, "crit": prunella.Critical, "panic": prunella.Critical, "emerg": prunella.Critical, "alert": prunella.Critical, "60": prunella.Critical,
}

var shouted = regexp.MustCompile(`(?:^|[\s\[|(])(WARN|WARNING|ERROR|SEVERE|FATAL|CRITICAL|PANIC)(?:[\s\]|:)]|$)`)

// severityIn reads how bad a line calls itself, for senders that do not say:
// level=error, "severity":"WARN", or an ERROR near the start. It is "" when
// the line does not tell.
func severityIn(body string) prunella.Severity {
	for _, f := range prunella.Fields(body) {
		switch key := strings.ToLower(f.Key[strings.LastIndexByte(f.Key, '.')+1:]); key {
		case "level", "lvl", "severity", "loglevel", "log_level", "levelname":
			return levels[strings.ToLower(f.Value)]
		}
	}
	if m := shouted.FindStringSubmatch(body[:min(len(body), 100)]); m != nil {
		return levels[strings.ToLower(m[1])]
	}
	return ""
}
