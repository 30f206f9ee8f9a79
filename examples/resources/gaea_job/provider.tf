terraform {
  required_version = ">= 1.11"
  required_providers {
    gaea = {
      source = "gaea-salt/gaea"
    }
  }
}

# GAEA_ENDPOINT and GAEA_TOKEN say which jobd, and who asks.
provider "gaea" {}
