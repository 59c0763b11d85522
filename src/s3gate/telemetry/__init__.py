"""What the gateway tells of itself: metrics, logs of requests, traces."""
