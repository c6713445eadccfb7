package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// bearer puts what the agent has for a key into requests, as agents do.
type bearer struct{}

// RoundTrip implements http.RoundTripper.
func (bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+os.Getenv("MCP_TOKEN"))
	return http.DefaultTransport.RoundTrip(r)
}

func withMCP(ctx context.Context, o *mcp.ClientOptions, f func(*mcp.ClientSession) (string, error)) (string, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0.0"}, o)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: os.Getenv("MCP_URL"), HTTPClient: &http.Client{Transport: bearer{}}, MaxRetries: -1,
	}, nil)
	if err != nil {
		return "", err
	}
	defer session.Close()
	return f(session)
}

func callTool(name string) scenario {
	return func(ctx context.Context) (string, error) {
		return withMCP(ctx, nil, func(s *mcp.ClientSession) (string, error) {
			got, err := s.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: map[string]any{"project": "acme"}})
			if err != nil {
				return "", err
			}
			text := got.Content[0].(*mcp.TextContent).Text
			if got.IsError {
				return "", errors.New(text)
			}
			return text, nil
		})
	}
}

var mcpScenarios = map[string]scenario{
	"allowed":  callTool("list_tickets"),
	"action":   callTool("close_ticket"),
	"resource": callTool("list_salaries"),
	"time":     callTool("list_tickets"),
	"tools": func(ctx context.Context) (string, error) {
		return withMCP(ctx, nil, func(s *mcp.ClientSession) (string, error) {
			got, err := s.ListTools(ctx, nil)
			if err != nil {
				return "", err
			}
			var names []string
			for _, tool := range got.Tools {
				names = append(names, tool.Name)
			}
			return strings.Join(names, "|"), nil
		})
	},
	"stream": func(ctx context.Context) (string, error) {
		p := &pieces{}
		o := &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			_, _ = p.Write([]byte(r.Params.Message))
		}}
		return withMCP(ctx, o, func(s *mcp.ClientSession) (string, error) {
			params := &mcp.CallToolParams{Name: "list_slowly", Arguments: map[string]any{}}
			params.SetProgressToken("slowly")
			got, err := s.CallTool(ctx, params)
			if err != nil {
				return "", err
			}
			return got.Content[0].(*mcp.TextContent).Text, nil
		})
	},
}

// serveMCP serves a few tools on a port of the loopback, which it prints. It ends with its standard input, on which
// each line lets one call of list_slowly go on.
func serveMCP() error {
	goOn := make(chan struct{}, 16)
	server := mcp.NewServer(&mcp.Implementation{Name: "tickets", Version: "1.0.0"}, nil)
	for _, name := range []string{"list_tickets", "close_ticket", "list_salaries"} {
		mcp.AddTool(server, &mcp.Tool{Name: name, Description: "does " + name}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name + " did it"}}}, nil, nil
		})
	}
	mcp.AddTool(server, &mcp.Tool{Name: "list_slowly", Description: "tells how it goes on"}, func(ctx context.Context, r *mcp.CallToolRequest, _ map[string]any) (*mcp.CallToolResult, any, error) {
		err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1, Message: "begun"})
		if err != nil {
			return nil, nil, err
		}
		<-goOn
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	go func() { _ = http.Serve(l, handler) }()
	for buf := make([]byte, 1); ; goOn <- struct{}{} {
		if _, err := os.Stdin.Read(buf); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
