// Package wiki carries the pages that Prunella ships: skills, people and
// companies, as Markdown files embedded in the program.
//
// The folders are the wiki of an invented company, acme-logistics, and serve as
// the default when the configuration names no folder of its own. A page is
// linked as [[folder/name]], without .md; package skill reads the skills.
package wiki

import (
	"embed"
	"io/fs"
)

//go:embed skills people companies
var pages embed.FS

// FS returns the embedded pages: skills/*.skill.md, people/*.md, companies/*.md.
func FS() fs.FS { return pages }
