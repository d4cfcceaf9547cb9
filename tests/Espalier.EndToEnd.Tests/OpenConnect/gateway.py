"""A GlobalProtect gateway as far as openconnect asks for one: it hands out addresses and ESP keys, and carries nothing itself.

   gateway.py ADDRESS CERTIFICATE

Listens on port 443 of ADDRESS; CERTIFICATE is a PEM file with certificate and private key. Prints "ready", then "config" each time a client wants its configuration,
and answers it with the elements of XML that the next line of its input holds. Ends with its input.
"""
import socket
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Gateway(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "getconfig.esp" in self.path:
            print("config", flush=True)
            body = sys.stdin.readline().strip()
            if not body:
                raise SystemExit
        elif "hipreportcheck.esp" in self.path:
            body = "<hip-report-needed>no</hip-report-needed>"
        else:
            body = ""
        answer = f'<?xml version="1.0"?><response status="success">{body}</response>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self):
        # The tunnel over HTTPS, which a client falls back to: it has none.
        self.send_error(502)

    def log_message(self, *_):
        pass


def main(address, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    HTTPServer.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with HTTPServer((address, 443), Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print("ready", flush=True)
        server.serve_forever()


main(*sys.argv[1:])
