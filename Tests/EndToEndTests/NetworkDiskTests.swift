import Foundation
import TestSupport
import Testing

/// A disk that a real QEMU reaches over a network has one lease, however it is named and by whom.
@Suite(.serialized) struct NetworkDiskTests {
    /// An NBD server with one export, and two spellings of it. QEMU's monitor repeats the host as it was spelled.
    private struct Export {
        let port: String
        var url: String { "nbd://localhost:\(port)/e" }
        var colons: String { "nbd:LocalHost:\(port):exportname=e" }

        init(_ scratch: Scratch) throws {
            port = String(try Export.freePort())
            let arguments = [
                "-p", port, "-b", "localhost", "-f", "raw", "-t", "-e", "4", "-x", "e", try scratch.disk("image"),
            ]
            let server = try scratch.start(Program("qemu-nbd", arguments))
            let number = port
            try eventually(within: 10, "\(server)") {
                try Program.run("qemu-nbd", ["--list", "-b", "localhost", "-p", number]).succeeded
            }
        }

        private static func freePort() throws -> Int {
            let words = "import socket; s = socket.create_server(('localhost', 0)); print(s.getsockname()[1])"
            let output = try Program.run("python3", ["-c", words]).expecting(.exit(0)).output
            return try #require(Int(output.dropLast()))
        }
    }

    @Test func whatOneSpellingHoldsAnotherFindsBusy() throws {
        try Station.withTwo { _, here, there in
            let export = try Export(here.scratch)
            let guest = try here.start(["--no-auto-disks", "--disk", export.colons])
            let attempts = [
                try there.supervised(["--no-auto-disks", "--disk", export.url], try Probe.command("exit", "0")),
                try there.supervised([], ["qemu-system-x86_64", "-drive", "file=\(export.colons),format=raw"]),
                try there.supervised(
                    [],
                    [
                        "qemu-system-x86_64", "-blockdev",
                        "driver=nbd,node-name=n,host=localhost,port=\(export.port),export=e",
                    ]),
            ]
            for attempt in attempts {
                expectOneLine(try attempt.run(timeout: 20), code: 75, naming: [export.url, "guest", "host1"])
            }
            for name in [export.colons, export.url] {
                let lease = try here.leasehold(["lease", "show", name, "--json"], in: here.scratch.path)
                #expect(try lease.expecting(.exit(0)).json()["guest"] == "guest")
            }
            let status = try here.leasehold(["status", "guest"], in: here.scratch.path).expecting(.exit(0)).output
            #expect(status.contains("\(export.url) (not shared with libvirt hosts)"), "\(status)")
            try guest.stop()
        }
    }

    @Test func itIsPluggedInAndOut() throws {
        try Station.withTwo { hosts, here, there in
            let export = try Export(here.scratch)
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let attached = try guest.leasehold("attach-disk", export.colons, "--json").expecting(.exit(0)).json()
            #expect(attached[0]?["disk"]?.string == export.url)
            #expect(try there.attempt(export.url).status == .exit(75))
            try guest.monitor.execute(
                "blockdev-add",
                [
                    "driver": "raw", "node-name": "n",
                    "file": [
                        "driver": "nbd", "export": "e",
                        "server": ["type": "inet", "host": "LocalHost", "port": .string(export.port)],
                    ],
                ])
            for name in [export.colons, export.url] {
                expectOneLine(try guest.leasehold("detach-disk", name), code: 75, naming: [export.url, "node"])
            }
            #expect(try guest.disks()[export.url] == "exclusive")
            try guest.monitor.execute("blockdev-del", ["node-name": "n"])
            try guest.leasehold("detach-disk", export.colons).expecting(.exit(0))
            #expect(try there.attempt(export.url).status == .exit(0))
            expectOneLine(try guest.leasehold("detach-disk", export.url), code: 66, naming: [export.url, "no lease"])
            expectOneLine(try guest.leasehold("attach-disk", "nbd://"), code: 64, naming: ["nbd://", "host"])
            #expect(try guest.leasehold("stop").succeeded)
        }
    }

    @Test func aNameThatSaysNothingIsRefusedAtAStart() throws {
        try Station.withTwo { _, here, _ in
            let start = try here.supervised(["--no-auto-disks", "--disk", "rbd:pool"], try Probe.command("exit", "0"))
            expectOneLine(try start.run(timeout: 20), code: 64, naming: ["--disk", "rbd:pool"])
        }
    }
}
