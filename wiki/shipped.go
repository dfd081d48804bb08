package wiki

import (
	"embed"
	"io/fs"
)

//go:embed skills people companies
var shipped embed.FS

// FS returns the pages that Prunella ships, the wiki of an invented company:
// skills/*.skill.md, people/*.md, companies/*.md.
func FS() fs.FS { return shipped }
