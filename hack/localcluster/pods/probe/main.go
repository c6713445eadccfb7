// Command probe is both sides of the NetworkPolicy tests: it serves on ports, and it says what it can reach.
//
//	probe serve tcp://:8080 udp://:8081
//	probe check tcp://10.77.0.2:8080 udp://10.77.0.2:8081
//	probe hold tcp://10.77.0.2:8080
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is for one connection; PATIENCE changes it. A policy drops silently, so what is forbidden always takes this long;
// it leaves room for one lost packet.
var patience = 1500 * time.Millisecond

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: probe serve|check|hold tcp|udp://HOST:PORT...")
	}
	if text := os.Getenv("PATIENCE"); text != "" {
		var err error
		if patience, err = time.ParseDuration(text); err != nil {
			log.Fatal(err)
		}
	}
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2:])
	case "check":
		check(os.Args[2:])
	case "hold":
		hold(split(os.Args[2]))
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}

func split(target string) (network, address string) {
	network, address, ok := strings.Cut(target, "://")
	if !ok {
		log.Fatalf("%q: want tcp://HOST:PORT or udp://HOST:PORT", target)
	}
	return network, address
}

func serve(targets []string) {
	for _, target := range targets {
		network, address := split(target)
		if network == "udp" {
			connection, err := net.ListenPacket(network, address)
			if err != nil {
				log.Fatal(err)
			}
			go echo(connection)
			continue
		}
		listener, err := net.Listen(network, address)
		if err != nil {
			log.Fatal(err)
		}
		go greet(listener)
	}
	select {}
}

func echo(connection net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := connection.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		_, _ = connection.WriteTo(buffer[:n], from) // whoever does not hear it will say so
	}
}

func greet(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() { // whoever leaves in the middle is no concern of ours
			defer connection.Close()
			if _, err := io.WriteString(connection, "hello"); err == nil {
				_, _ = io.Copy(connection, connection)
			}
		}()
	}
}

// hold keeps one connection busy; it says "open" when it works and "cut" when nothing comes back any more.
func hold(network, address string) {
	connection, err := net.DialTimeout(network, address, patience)
	if err != nil {
		log.Fatal("blocked: ", err)
	}
	for said := false; ; time.Sleep(100 * time.Millisecond) {
		_ = connection.SetDeadline(time.Now().Add(patience))
		_, err := io.WriteString(connection, "hello")
		if err == nil {
			_, err = io.ReadFull(connection, make([]byte, 5))
		}
		if err != nil {
			fmt.Println("cut")
			return
		}
		if !said {
			fmt.Println("open")
			said = true
		}
	}
}

// check tries all targets at once and prints one line for each: the target and what happened.
func check(targets []string) {
	results := make([]string, len(targets))
	var group sync.WaitGroup
	for i, target := range targets {
		group.Go(func() { results[i] = target + " " + try(split(target)) })
	}
	group.Wait()
	fmt.Println(strings.Join(results, "\n"))
}

// try returns "reached", "refused" (which is reached too: somebody answered) or "blocked".
func try(network, address string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, network, address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if err != nil {
		return "blocked: " + err.Error()
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	_ = connection.SetDeadline(deadline)
	if network == "udp" {
		if _, err := io.WriteString(connection, "hello"); err != nil {
			return "blocked: " + err.Error()
		}
	}
	if _, err := connection.Read(make([]byte, 5)); errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	} else if err != nil && network == "udp" {
		return "blocked: " + err.Error()
	}
	return "reached" // a TCP connection counts even if the other side says nothing
}
