"""subprocess: pipes both ways, a timeout, an exit code, a signal, a missing program, descriptors kept closed."""
import signal
import subprocess
import sys

print(subprocess.run(["tr", "a-z", "A-Z"], input="hello", capture_output=True, text=True).stdout)
print(subprocess.run([sys.executable, "-c", "raise SystemExit(5)"]).returncode)
child = subprocess.Popen(["sleep", "100"])
try:
    child.wait(timeout=0.2)
except subprocess.TimeoutExpired:
    child.send_signal(signal.SIGTERM)
print(child.wait())
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as error:
    print(error)
first = subprocess.Popen(["seq", "1", "100000"], stdout=subprocess.PIPE)
last = subprocess.Popen(["tail", "-1"], stdin=first.stdout, stdout=subprocess.PIPE)
first.stdout.close()
print(last.communicate()[0].decode().strip(), first.wait())
