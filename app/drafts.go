package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"prunella"
	"prunella/client"
	"prunella/skill"
	"prunella/thread"
	"prunella/wiki"
)

func draftPath(name string) string { return "drafts/" + name + skill.Suffix }

func skillPath(name string) string { return "skills/" + name + skill.Suffix }

// Draft returns what waits for a person's word, beside the skill that it would
// change: a draft names the hash of that skill as "changes".
func (b backend) Draft(ctx context.Context, name string) (v client.DraftView, err error) {
	if v.Page, err = b.WikiPage(ctx, draftPath(name)); err != nil {
		return v, err
	}
	meta := map[string]string{}
	for _, f := range v.Page.Meta {
		meta[f.Key] = f.Value
	}
	v.Version = thread.Final(meta["version"])
	have, text, err := b.wiki.Page(ctx, skillPath(name))
	if err != nil && prunella.KindOf(err) != prunella.NotFound {
		return v, err
	}
	if err == nil {
		v.Of, v.Was, v.Base, v.Diff = name, have.Meta["version"], have.Hash, lines(wiki.Compare(text, v.Page.Text))
	}
	if !v.Page.Editable {
		v.Blocked = "The wiki is not kept in a folder."
		return v, nil
	}
	if _, err := thread.Accept(b.cfg.Wiki, name, "somebody", time.Now(), b.skills.catalog...); err != nil {
		v.Blocked = said(err)
	}
	return v, nil
}

// said is an error's reason and remedy in sentences, for where the page says the rest.
func said(err error) string {
	var e *prunella.Error
	if !errors.As(err, &e) || e.Reason == "" {
		return err.Error()
	}
	reason := e.Reason
	if e.Err != nil {
		reason += ": " + e.Err.Error()
	}
	out := sentence(reason)
	if e.Remedy != "" {
		out += " " + sentence(e.Remedy)
	}
	return out
}

func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimRight(s[n:], ".") + "."
}

// AcceptDraft makes a draft a skill, or the next version of the skill it
// changes. That is in use at once.
func (b backend) AcceptDraft(ctx context.Context, name, hash, by string) (string, error) {
	conflict := func(reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Conflict, Op: "accept draft", Where: draftPath(name), Reason: reason, Remedy: remedy}
	}
	if !b.wiki.Editable() {
		return "", conflict("the wiki is not kept in a folder", "name one with wiki: in the configuration")
	}
	a, err := thread.Accept(b.cfg.Wiki, name, by, time.Now(), b.skills.catalog...)
	switch {
	case err != nil:
		return "", err
	case hashOf(a.Draft) != hash:
		return "", conflict("the draft was changed since you read it", "read it as it is now, then decide again")
	}
	if _, err := Carry(ctx, b.wiki, b.cfg.Wiki, a); err != nil {
		return "", err
	}
	b.takeSkills(ctx)
	return b.pageURL(skillPath(name)), nil
}

// hashOf is the hash of a page's text, as the wiki and a skill have it.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Carry carries an acceptance out in the wiki of a folder. The skill is written
// first: after a crash the draft is still there, and can be accepted again. Each
// is refused when somebody changed the file since it was read.
func Carry(ctx context.Context, w *wiki.Wiki, dir string, a thread.Acceptance) (wiki.Saved, error) {
	who := strings.TrimPrefix(a.By, "@")
	edit := func(file, was, text, reason string) (wiki.Edit, error) {
		rel, err := filepath.Rel(dir, file)
		e := wiki.Edit{Path: filepath.ToSlash(rel), Text: text, Author: who, Reason: reason}
		if was != "" {
			e.Base = hashOf(was)
		}
		return e, err
	}
	e, err := edit(a.Path, a.Was, a.Text, fmt.Sprintf("Accept %s %s, read by %s", a.Name, a.Version, who))
	if err != nil {
		return wiki.Saved{}, err
	}
	saved, err := w.Save(ctx, e)
	if err != nil {
		return wiki.Saved{}, err
	}
	if e, err = edit(a.From, a.Draft, "", "Remove the draft of "+a.Name+", which is accepted"); err == nil {
		_, err = w.Remove(ctx, e)
	}
	if err != nil {
		return saved, fmt.Errorf("the skill is written, and its draft stays: %w", err)
	}
	return saved, nil
}

// DiscardDraft removes a draft that is not to become a skill.
func (b backend) DiscardDraft(ctx context.Context, name, hash, by, reason string) error {
	reason = cmp.Or(strings.TrimSpace(reason), "not needed")
	_, err := b.wiki.Remove(ctx, wiki.Edit{Path: draftPath(name), Base: hash, Author: by, Reason: fmt.Sprintf("Discard the draft %s: %s", name, reason)})
	return err
}
