package app

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"prunella"
	"prunella/client"
	"prunella/skill"
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
	v.Version = accepted(meta["version"])
	have, text, err := b.wiki.Page(ctx, skillPath(name))
	if err != nil && prunella.KindOf(err) != prunella.NotFound {
		return v, err
	}
	there, changes := err == nil, meta["changes"]
	if there {
		v.Of, v.Was, v.Base, v.Diff = name, have.Meta["version"], have.Hash, lines(wiki.Compare(text, v.Page.Text))
	}
	switch found := skill.Errors(b.lint(skillPath(name), v.Page.Text)); {
	case !v.Page.Editable:
		v.Blocked = "The wiki is not kept in a folder."
	case !there && changes != "":
		v.Blocked = "The skill that it changes is gone. Extract again, or take the line changes: out of it to make it a new skill."
	case there && changes == "":
		v.Blocked = "There is a skill of that name already. Rename the draft, or extract again to have it proposed as a change."
	case there && changes != have.Hash:
		v.Blocked = "The skill was changed since the draft was made. Extract again, so that the change is proposed for the skill as it is now."
	case len(found) > 0:
		v.Blocked = fmt.Sprintf("It has an error in line %d: %s.", found[0].Line, found[0].Text)
	}
	return v, nil
}

// accepted is the version that a draft has once it is accepted.
func accepted(version string) string { return strings.TrimSuffix(version, "-draft") }

// AcceptDraft makes a draft a skill, or the next version of the skill it
// changes. That is in use at once. The skill is written first: after a crash the
// draft is still there.
func (b backend) AcceptDraft(ctx context.Context, name, hash, by string) (string, error) {
	v, err := b.Draft(ctx, name)
	if err != nil {
		return "", err
	}
	switch {
	case v.Page.Hash != hash:
		return "", &prunella.Error{Kind: prunella.Conflict, Op: "accept draft", Where: v.Page.Path, Reason: "the draft was changed since you read it", Remedy: "read it as it is now, then decide again"}
	case v.Blocked != "":
		return "", &prunella.Error{Kind: prunella.Conflict, Op: "accept draft", Where: v.Page.Path, Reason: v.Blocked}
	}
	d, err := skill.Parse(skillPath(name), []byte(v.Page.Text))
	if err != nil {
		return "", err
	}
	who := "@" + strings.TrimPrefix(by, "@")
	for _, set := range [][2]string{{"version", v.Version}, {"state", "accepted"}, {"accepted-by", who}, {"accepted-on", time.Now().UTC().Format(time.DateOnly)}} {
		if err := d.SetMeta(set[0], set[1]); err != nil {
			return "", err
		}
	}
	e := wiki.Edit{Path: skillPath(name), Base: v.Base, Text: string(d.Bytes()), Author: by, Reason: fmt.Sprintf("Accept %s %s, read by %s", name, v.Version, by)}
	if _, err := b.wiki.Save(ctx, e); err != nil {
		return "", err
	}
	if _, err := b.wiki.Remove(ctx, wiki.Edit{Path: v.Page.Path, Base: hash, Author: by, Reason: "Remove the draft of " + name + ", which is accepted"}); err != nil {
		return "", err
	}
	b.takeSkills(ctx)
	return b.pageURL(skillPath(name)), nil
}

// DiscardDraft removes a draft that is not to become a skill.
func (b backend) DiscardDraft(ctx context.Context, name, hash, by, reason string) error {
	reason = cmp.Or(strings.TrimSpace(reason), "not needed")
	_, err := b.wiki.Remove(ctx, wiki.Edit{Path: draftPath(name), Base: hash, Author: by, Reason: fmt.Sprintf("Discard the draft %s: %s", name, reason)})
	return err
}
