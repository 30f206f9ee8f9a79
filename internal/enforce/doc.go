// Package enforce carries out state assignments on top of the run engine: it checks them, by request and by interval, makes
// them true, and looks again after that, so that what is left and what never settles is known. It keeps nothing of its own
// but what the stores of package gaea hold, and no clock: somebody else calls [Service.Look] when it says so.
package enforce
