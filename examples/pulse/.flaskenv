# Read by the flask command, and by deployments that look for the app as it does. Nothing here may differ in production.
FLASK_APP=pulse
