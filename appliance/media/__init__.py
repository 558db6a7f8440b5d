"""From devices to RTP and back: gates, codecs, jitter buffers and one WebRTC seam."""
