package app

// BreakListener closes the listener as a fault would.
func (a *App) BreakListener() error { return a.listener.Close() }

// BreakArchive closes the archive as a fault would.
func (a *App) BreakArchive() error { return a.store.Close() }

// NewLateReturns and its methods are tested by themselves: a burst that is larger than the queue cannot be had from outside.
var NewLateReturns = newLateReturns

// Take hands returns over.
var (
	Take  = (*lateReturns).take
	Start = (*lateReturns).start
	Stop  = (*lateReturns).stop
)
