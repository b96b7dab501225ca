"""`terway-cli`: looks inside ipamd and at what it stands on. Changes nothing."""
