package main

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"prunella/skill"
	"prunella/skill/export"
	"prunella/skill/importer"
)

type skillExportCmd struct {
	library
	AgentSkills string   `help:"Write agent skills below DIR/.agents/skills." placeholder:"DIR" name:"agent-skills" xor:"to" type:"path"`
	CACAO       string   `help:"Write a CACAO 2.0 playbook of one skill; - writes to standard output." placeholder:"FILE" name:"cacao" xor:"to"`
	Text        bool     `help:"Print the text of one skill, an imported page word for word." xor:"to"`
	Names       []string `arg:"" optional:"" help:"Names of skills, or files; for --agent-skills all when none is given." placeholder:"NAME|FILE"`
}

func (cmd skillExportCmd) Run(c *console) error {
	if cmd.AgentSkills != "" {
		return cmd.agentSkills(c)
	}
	if cmd.CACAO == "" && !cmd.Text {
		return usage("say what to write: --agent-skills DIR, --cacao FILE NAME, or --text NAME")
	}
	if len(cmd.Names) != 1 {
		return usage("name the one skill to export")
	}
	d, err := cmd.open(cmd.Names[0])
	if err != nil {
		return err
	}
	if cmd.Text {
		_, err := io.WriteString(c.out, importer.Text(d))
		return err
	}
	b, err := export.CACAO(d, time.Now())
	if err != nil {
		return err
	}
	if cmd.CACAO == "-" {
		_, err := c.out.Write(b)
		return err
	}
	if err := writeSkill(cmd.CACAO, b); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "wrote %s\n", cmd.CACAO)
	return nil
}

func (cmd skillExportCmd) agentSkills(c *console) error {
	names := cmd.Names
	if len(names) == 0 {
		_, files, err := cmd.files()
		if err != nil {
			return err
		}
		for _, file := range files {
			names = append(names, strings.TrimSuffix(path.Base(file), skill.Suffix))
		}
	}
	for _, name := range names {
		d, err := cmd.open(name)
		if err != nil {
			return err
		}
		files, err := export.AgentSkill(d, cmd.text)
		if err != nil {
			return err
		}
		s, _ := d.Skill()
		if err := export.WriteAgentSkill(cmd.AgentSkills, string(s.Name), files); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "wrote %s/.agents/skills/%s (%d files)\n", strings.TrimRight(cmd.AgentSkills, "/"), s.Name, len(files))
	}
	return nil
}
