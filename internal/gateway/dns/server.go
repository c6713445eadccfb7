// Package dns is the agent's only resolver. It answers from what it knows and asks
// nobody: the names of the hosts a grant has lead to the gateway, and there are no
// others. What an agent spells in a question therefore goes nowhere.
package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Verdict is what is said of a name.
type Verdict int

// The verdicts. The zero Verdict says nothing.
const (
	// Closed means that no name is resolved now, whichever it is.
	Closed Verdict = iota
	// Absent means that there is no such name.
	Absent
	// Present means that the name leads to the gateway.
	Present
)

// Zone is what is known of names.
type Zone interface {
	// Serves reports whether an address may ask. Others get no answer.
	Serves(peer netip.Addr) bool
	// Ask says what is known of a name, in lower case and without the last dot; it may hold any byte. It must not block.
	Ask(name string) Verdict
}

// Config is what a Server needs. Zone and Address are required.
type Config struct {
	Zone Zone
	// Address every name leads to: the one of the gateway's Service.
	Address netip.Addr
	// Hold is for how long a question from an unknown address is kept, in case the address comes to be known; 10 s where zero.
	Hold time.Duration
	// Logger for what goes wrong; none where nil.
	Logger *slog.Logger
}

const (
	maxHeld        = 16 // questions and connections of unknown addresses, at once
	maxConnections = 16 // over TCP, at once
	maxQuestions   = 256
	look           = 50 * time.Millisecond
	idle           = 10 * time.Second // between questions over TCP, and for one to arrive
)

var errAmbiguous = errors.New("the message can be read in two ways")

// Server answers questions. Serve and ServePacket may be called for several listeners.
type Server struct {
	cfg Config

	held        chan struct{} // a place for each that is held
	connections chan struct{} // a place for each connection

	mu      sync.Mutex
	open    map[io.Closer]struct{}
	closing chan struct{}
	running sync.WaitGroup
}

// New returns a Server that waits for Serve and ServePacket.
func New(cfg Config) *Server {
	cfg.Address = cfg.Address.Unmap()
	if cfg.Hold <= 0 {
		cfg.Hold = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg: cfg, held: make(chan struct{}, maxHeld), connections: make(chan struct{}, maxConnections),
		open: map[io.Closer]struct{}{}, closing: make(chan struct{}),
	}
}

// ServePacket answers questions over UDP until the socket or the server is closed.
func (s *Server) ServePacket(conn *net.UDPConn) error {
	if !s.keep(conn) {
		return net.ErrClosed
	}
	defer s.forget(conn)
	buffer := make([]byte, maxQuery+1) // what fills it is too long
	for {
		n, peer, err := conn.ReadFromUDPAddrPort(buffer)
		switch {
		case err == nil:
			s.packet(conn, peer, buffer[:n])
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			s.cfg.Logger.Error("receiving a question", "error", err)
			if !s.pause(look) {
				return net.ErrClosed
			}
		}
	}
}

// packet answers one question at once, or once its sender is known.
func (s *Server) packet(conn *net.UDPConn, peer netip.AddrPort, msg []byte) {
	send := func(msg []byte) {
		if answer := reply(s.cfg.Zone, s.cfg.Address, msg); answer != nil {
			_, _ = conn.WriteToUDPAddrPort(answer, peer) // who asked asks again
		}
	}
	if from := peer.Addr().Unmap(); !s.cfg.Zone.Serves(from) {
		kept := append([]byte(nil), msg...)
		s.hold(from, func() { send(kept) })
		return
	}
	send(msg)
}

// hold waits until an address may ask, and calls known then: an agent may be faster than the grant that names its
// address. It reports whether there is room for it.
func (s *Server) hold(peer netip.Addr, known func()) bool {
	select {
	case s.held <- struct{}{}:
	default:
		return false
	}
	free := func() { <-s.held }
	ok := s.spawn(func() {
		defer free()
		if s.wait(peer) {
			known()
		}
	})
	if !ok {
		free()
	}
	return ok
}

// wait reports whether an address came to be one that may ask.
func (s *Server) wait(peer netip.Addr) bool {
	end := time.Now().Add(s.cfg.Hold)
	for !s.cfg.Zone.Serves(peer) {
		if time.Now().After(end) || !s.pause(min(look, s.cfg.Hold)) {
			return false
		}
	}
	return true
}

// pause waits, and reports whether the server goes on.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}

// Serve answers questions over TCP until the listener or the server is closed.
func (s *Server) Serve(l net.Listener) error {
	if !s.keep(l) {
		return net.ErrClosed
	}
	defer s.forget(l)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.admit(conn)
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			s.cfg.Logger.Error("accepting a connection for questions", "error", err)
			if !s.pause(look) {
				return net.ErrClosed
			}
		}
	}
}

// admit serves a connection, if there is room for it.
func (s *Server) admit(conn net.Conn) {
	var from netip.Addr
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort().Addr().Unmap()
	}
	places := s.held
	if s.cfg.Zone.Serves(from) {
		places = s.connections
	}
	select {
	case places <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	ok := s.keep(conn) && s.spawn(func() {
		defer func() { <-places }()
		defer s.forget(conn)
		if s.wait(from) {
			s.converse(conn, from)
		}
	})
	if !ok {
		s.forget(conn)
		<-places
	}
}

// converse answers the questions of one connection: RFC 1035, section 4.2.2.
func (s *Server) converse(conn net.Conn, from netip.Addr) {
	buffer := make([]byte, 2+maxQuery)
	for range maxQuestions {
		_ = conn.SetDeadline(time.Now().Add(idle))
		if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(buffer))
		if size > maxQuery {
			return
		}
		if _, err := io.ReadFull(conn, buffer[2:2+size]); err != nil {
			return
		}
		if !s.cfg.Zone.Serves(from) {
			return
		}
		answer := reply(s.cfg.Zone, s.cfg.Address, buffer[2:2+size])
		if answer == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// keep has Close close something too. It reports false once the server is closed.
func (s *Server) keep(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		_ = c.Close()
		return false
	default:
		s.open[c] = struct{}{}
		return true
	}
}

func (s *Server) forget(c io.Closer) {
	_ = c.Close()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

// spawn runs f in a goroutine that Close waits for, unless it is too late for that.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
		s.running.Go(f)
		return true
	}
}

// Close stops everything, and waits until it has stopped. A second Close does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
