package shim

import "errors"

func (s *Server) spawnThroughHelper(req *SpawnRequest, p *pipes, done func(*child, error)) {
	p.closeOurSide()
	done(nil, &SpawnError{Path: req.Path, Op: "exec helper", Err: errors.New("not there yet")})
}
