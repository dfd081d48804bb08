package web

import (
	"net/http"
	"net/url"
	"strings"

	"prunella"
	"prunella/client"
)

// decide is the approval form of the incident page.
func (s *server) decide(w http.ResponseWriter, r *http.Request) (string, error) {
	d := client.Decision{Decision: r.PostFormValue("decision"), By: r.PostFormValue("by"), Note: r.PostFormValue("note"), Hash: r.PostFormValue("hash")}
	if _, err := s.decideApproval(r, r.PathValue("approval"), d); err != nil {
		return "", err
	}
	rememberName(w, d.By)
	return "/incidents/" + url.PathEscape(r.PathValue("id")) + "#plan", nil
}

func (s *server) decideApproval(r *http.Request, id string, d client.Decision) (prunella.Approval, error) {
	d.By, d.Note = strings.TrimSpace(d.By), strings.TrimSpace(d.Note)
	switch {
	case d.Decision != "approved" && d.Decision != "denied":
		return prunella.Approval{}, &prunella.Error{Kind: prunella.Invalid, Where: "decision", Reason: "a decision is approved or denied"}
	case d.By == "":
		return prunella.Approval{}, needsName
	case d.Hash == "":
		return prunella.Approval{}, &prunella.Error{Kind: prunella.Invalid, Where: "hash", Reason: "a decision names the hash of what it was shown", Remedy: "Read the plan again and decide on its hash"}
	}
	return s.backend.Decide(r.Context(), id, d)
}

var needsName = &prunella.Error{Kind: prunella.Invalid, Where: "by", Reason: "whoever acts says who they are, and no name was given, so nothing was done", Remedy: "Go back and fill in your name"}

// act is the form by which a person resolves, takes over or hands back.
func (s *server) act(w http.ResponseWriter, r *http.Request) (string, error) {
	n := client.Note{By: r.PostFormValue("by"), Note: r.PostFormValue("note")}
	id := r.PathValue("id")
	if _, err := s.actOn(r, prunella.IncidentID(id), r.PathValue("act"), n); err != nil {
		return "", err
	}
	rememberName(w, n.By)
	return "/incidents/" + url.PathEscape(id), nil
}

func (s *server) actOn(r *http.Request, id prunella.IncidentID, act string, n client.Note) (prunella.Incident, error) {
	n.By, n.Note = strings.TrimSpace(n.By), strings.TrimSpace(n.Note)
	if n.By == "" {
		return prunella.Incident{}, needsName
	}
	switch act {
	case "resolve":
		return s.backend.Resolve(r.Context(), id, n)
	case "handback":
		return s.backend.HandBack(r.Context(), id, n)
	case "escalate":
		return s.backend.Escalate(r.Context(), id, n)
	}
	return prunella.Incident{}, &prunella.Error{Kind: prunella.NotFound, Reason: "an incident can be resolved, handed back or escalated, and nothing else"}
}

// theme keeps the switch in a cookie and returns to the page it was used on.
func (s *server) theme(w http.ResponseWriter, r *http.Request) (string, error) {
	c := &http.Cookie{Name: "theme", Value: r.PostFormValue("theme"), Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true}
	if c.Value != "light" && c.Value != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
	return localPath(r.PostFormValue("back")), nil
}

// localPath keeps a form from sending the browser to another site.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n") {
		return "/"
	}
	return p
}

// rememberName fills in the name on the next form.
func rememberName(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: "name", Value: url.QueryEscape(strings.TrimSpace(name)), Path: "/", MaxAge: 90 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true})
}

func nameOf(r *http.Request) string {
	c, err := r.Cookie("name")
	if err != nil {
		return ""
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil {
		return ""
	}
	return name
}
