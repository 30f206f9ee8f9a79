# For state assignments: one minion first, then a tenth at a time, and no further when more than 5% go wrong.
resource "gaea_job_template" "rolling" {
  name         = "rolling"
  batch        = { size = "10%", wait = "30s", canary = 1, max_failures = "5%" }
  timeouts     = { job = "30m", gather = "10s" }
  pre_actions  = [{ name = "drain", function = "cmd.run", args = ["lb-drain"], on_failure = "abort" }]
  post_actions = [{ name = "health", function = "http.query", args = ["http://localhost/healthz"], kwargs = jsonencode({ status = true }), expect = "ret.status == 200", retries = 10 }]
}

# For runs: what to run, too.
resource "gaea_job_template" "free_space" {
  name     = "free-space"
  function = "disk.usage"
  args     = ["/var"]
}

resource "gaea_job_template" "greeting" {
  name        = "greeting"
  description = "Writes a greeting with one minion after the other"
  function    = "cmd.run"
  args        = ["echo hello from $(hostname)"]
  kwargs      = jsonencode({ python_shell = true, timeout = 10 })
  batch       = { size = 1 }
}
