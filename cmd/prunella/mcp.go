package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"prunella"
	"prunella/client"
	"prunella/mcp"
)

type mcpCmd struct {
	remote
	HTTP  string `help:"Serve streamable HTTP on this loopback address instead of standard input and output." name:"http" placeholder:"HOST:PORT"`
	Token string `help:"Token that clients must show with --http; default: a new one, printed." env:"PRUNELLA_MCP_TOKEN" placeholder:"TOKEN"`
}

func (cmd mcpCmd) Run(c *console) error {
	log := logger(nil, false)
	if c.debug {
		log = logger(c.err, true)
	}
	server := mcp.New(mcp.Config{API: client.New(cmd.Server), Version: version(), Log: log})
	if cmd.HTTP == "" {
		err := server.Run(c.ctx, mcp.Lines(os.Stdin, os.Stdout))
		if c.ctx.Err() != nil {
			return nil
		}
		return err
	}
	ln, err := net.Listen("tcp", cmd.HTTP)
	if err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "listen", Where: cmd.HTTP, Err: err, Remedy: "write a free address, such as 127.0.0.1:7071"}
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		ln.Close()
		return &prunella.Error{Kind: prunella.Invalid, Op: "listen", Where: cmd.HTTP, Reason: "this is not an address of this machine alone", Remedy: "use 127.0.0.1, and a proxy of your own for others"}
	}
	token := cmd.Token
	if token == "" {
		token = rand.Text()
		fmt.Fprintf(c.err, "Token: %s\n", token)
	}
	fmt.Fprintf(c.err, "Serving MCP at http://%s/\n", ln.Addr())
	web := &http.Server{Handler: mcp.Handler(server, token, log), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-c.ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*time.Second)
		defer cancel()
		if err := web.Shutdown(ctx); err != nil { // streams stay open until they are cut
			err = web.Close()
			stopped <- err
			return
		}
		stopped <- nil
	}()
	if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "serve", Where: cmd.HTTP, Err: err}
	}
	return <-stopped
}
