package direct

// ReadAtMost bounds the jobs of one run that are read from the job cache: a test has not so many.
func (b *Backend) ReadAtMost(jobs int) { b.maxLeft = jobs }
