package polish

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/thread"
)

// Config says which model. The zero value is "off".
type Config struct {
	URL     string        // "https://api.openai.com/v1", "http://localhost:11434"; the path of chat completions is added
	Model   string        // as the server calls it
	APIKey  string        // sent as bearer token; empty: none
	Timeout time.Duration // of one request; 0: 60 s
	Retries int           // after the first try, when the server is busy or broken; 0: 2, negative: none
	Client  *http.Client  // nil: one that follows no redirects
}

// Limits of what goes out and comes back.
const (
	maxAnswer = 1 << 20  // bytes
	batchText = 12 << 10 // bytes of sentences in one request
	maxLine   = 4 << 10  // bytes; a longer line is not sent
	maxWait   = 30 * time.Second
)

// Polisher asks one model. It is safe for concurrent use.
type Polisher struct {
	cfg      Config
	endpoint string
}

// Dropped is a claim of the model that has no source, or that lost something.
type Dropped struct {
	Section string `json:"section"`
	Line    string `json:"line"`  // as it stood
	Claim   string `json:"claim"` // as the model wrote it
	Reason  string `json:"reason"`
}

// Report says what a polish did.
type Report struct {
	Model   string    `json:"model"`
	Lines   int       `json:"lines"`   // that the model saw
	Changed int       `json:"changed"` // that read otherwise now
	Dropped []Dropped `json:"dropped"`
}

// New checks the configuration.
func New(cfg Config) (*Polisher, error) {
	wrong := func(reason, remedy string) (*Polisher, error) {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "configure polish", Reason: reason, Remedy: remedy}
	}
	if cfg.URL == "" || cfg.Model == "" {
		return wrong("no model is configured", "Set polish.url and polish.model; without them drafts are not polished.")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return wrong("polish.url is no http or https URL", "Write it like https://api.openai.com/v1.")
	}
	switch path := strings.TrimSuffix(u.Path, "/"); {
	case strings.HasSuffix(path, "/chat/completions"):
	case strings.HasSuffix(path, "/v1"):
		u.Path = path + "/chat/completions"
	default:
		u.Path = path + "/v1/chat/completions"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Retries == 0 {
		cfg.Retries = 2
	}
	if cfg.Client == nil { // a redirect would carry the text and the key elsewhere
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Polisher{cfg: cfg, endpoint: u.String()}, nil
}

// place is a line of the draft that is sent.
type place struct {
	section, line int
	text          string   // as sent
	sources       []string // what claims about it may rest on
}

// Draft returns the draft with smoother prose and a report. When the model
// cannot be asked or does not answer in the agreed shape, the draft comes back
// as it was, with an Unavailable error.
func (p *Polisher) Draft(ctx context.Context, d thread.Draft) (thread.Draft, Report, error) {
	report := Report{Model: p.cfg.Model, Dropped: []Dropped{}}
	places := choose(d)
	answers := map[int]string{} // by index into places
	for start := 0; start < len(places); {
		end, size := start, 0
		for end < len(places) && (end == start || size+len(places[end].text) <= batchText) {
			size += len(places[end].text)
			end++
		}
		got, err := p.ask(ctx, d, places[start:end])
		if err != nil {
			return d, Report{Model: p.cfg.Model, Dropped: []Dropped{}}, err
		}
		for i, text := range got {
			if i >= 0 && i < end-start {
				answers[start+i] = text
			}
		}
		start = end
	}
	out := d
	out.Sections = slices.Clone(d.Sections)
	for i := range out.Sections {
		out.Sections[i].Lines = slices.Clone(d.Sections[i].Lines)
	}
	for i, at := range places {
		report.Lines++
		answer, ok := answers[i]
		if !ok || strings.TrimSpace(answer) == at.text {
			continue
		}
		text, dropped := judge(at.text, at.sources, answer)
		for _, x := range dropped {
			x.Section, x.Line = d.Sections[at.section].Name, at.text
			report.Dropped = append(report.Dropped, x)
		}
		if text != at.text {
			out.Sections[at.section].Lines[at.line].Text = text
			report.Changed++
		}
	}
	return out, report, nil
}

// choose takes the lines of prose, with their sources.
func choose(d thread.Draft) []place {
	said := map[string][]string{}
	tell := func(text string, s thread.Source) {
		if text != "" {
			key := s.Channel + "/" + s.TS
			said[key] = append(said[key], text)
		}
	}
	for _, x := range d.From {
		for _, list := range [][]thread.Sentence{x.Symptoms, x.RuledOut, x.Diagnosis, x.Verification, x.Escalation, x.Recurs} {
			for _, s := range list {
				tell(s.Text, s.Source)
			}
		}
		for _, a := range x.Tried {
			for _, s := range a.Sources {
				tell(a.Text, s)
			}
		}
		for _, f := range x.FollowUps {
			tell(f.Text, f.Source)
		}
	}
	redactor := thread.NewRedactor()
	var places []place
	for i, section := range d.Sections {
		for j, l := range section.Lines {
			text := strings.TrimSpace(redactor.Text(l.Text))
			if l.Kind == "code" || text == "" || len(text) > maxLine || strings.Contains(text, "```") {
				continue
			}
			at := place{section: i, line: j, text: text, sources: []string{text}}
			for _, s := range l.Sources {
				for _, t := range said[s.Channel+"/"+s.TS] {
					at.sources = append(at.sources, redactor.Text(t))
				}
			}
			places = append(places, at)
		}
	}
	return places
}
