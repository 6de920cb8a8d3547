import Foundation
import TestSupport
import Testing

/// Wrong options of the supervisor and the tools: one clear line, the right exit code, nothing left.
@Suite struct BadInputTests {
    private func withStation(_ body: (Station) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in try body(try Station(on: hosts.first, of: hosts, scratch)) }
    }

    @Test func wrongValuesOfOptionsAreUsageErrors() throws {
        let values: [String: [String]] = [
            "--name": [
                "", "-x", ".x", ".", "..", "a/b", "a b", "é", "x\n", "%41", String(repeating: "n", count: 65),
            ],
            "--uuid": [
                "", "x", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
                "01234567-89ab-cdef-0123-456789abcde", " 1234567-89ab-cdef-0123-456789abcdef",
            ],
            "--id": ["", "-1", "x", "1.5", "1e3", "٣", "99999999999", "2147483648", " 1"],
            "--wait": ["", "-1", "x", "5x", "1e3", "5 s", " 5", "∞", "nan", "1h30", "99999999999h", ".5", "5."],
            "--stop-timeout": ["", "-1s", "soon", "1d", "--"],
            "--lease": [
                "", "a", "a:b", "a:b:/p", "a:b:/p:", "a:b:/p:x", "a:b:/p:-1", "a:b:/p:+1", "a:b:/p:0x10", "a:b:p:0",
                "a:b::0", "a:b:/p:0:sh", "a:b:/p:0:5", "a:b:/p:0:SH:x", "a:b:/p:0:", ":b:/p:0", "a::/p:0",
                "a:b:/p:18446744073709551616", "a:b:/p:0\\", String(repeating: "l", count: 49) + ":b:/p:0",
                "a:" + String(repeating: "r", count: 49) + ":/p:0",
                "a:b:/" + String(repeating: "p", count: 1023) + ":0",
            ],
            "--driver": ["", "dlm", "Sanlock"],
            "--on-lease-loss": ["", "reboot"],
            "--log-level": ["", "loud", "WARNING"],
            "--log-format": ["", "xml"],
            "--ready-fd": ["", "0", "1", "2", "77", "-1", "x", "99999999999"],
            "--disk": [""], "--shared-disk": [""], "--readonly-disk": [""], "--config": [""], "--pid-file": [""],
        ]
        try withStation { station in
            for (option, wrong) in values {
                for value in wrong {
                    try station.refused(["\(option)=\(value)"], code: 64, naming: [option], within: 5)
                }
            }
        }
    }

    @Test func wrongOptionsAreUsageErrors() throws {
        try withStation { station in
            let cases: [([String], String)] = [
                (["--frobnicate"], "--frobnicate"), (["--frobnicate=1"], "--frobnicate"), (["-x"], "-x"),
                (["qemu-system-x86_64"], "qemu-system-x86_64"), ([""], "no option"), (["--name"], "--name"),
                (["--detach=yes"], "--detach"), (["--no-auto-disks=1"], "--no-auto-disks"),
                (["--disk"], "--disk"), (["--wait"], "--wait"), (["--=x"], "--"), (["---"], "---"),
                (["--NAME", "x"], "--NAME"), (["--lease", "a:b:/p:0", "--lease", "a:b:/p:0:SH"], "--lease"),
            ]
            for (options, word) in cases { try station.refused(options, code: 64, naming: [word], within: 5) }
            for arguments in [[], ["--"], ["--name", "x"], ["--name", "x", "--"]] {
                let program = Program(try Products.supervisor(), arguments, environment: station.environment)
                try station.refused(program, code: 64, naming: ["--"], within: 5)
            }
            try station.refused(["--on-lease-loss", "pause"], code: 78, naming: ["pause"])
        }
    }

    @Test func filesThatCannotBeMadeAreRefusedBeforeTheGuestRuns() throws {
        try withStation { station in
            let disk = "/no/disk-\(UUID().uuidString)"
            for option in ["--log-file", "--pid-file", "--supervisor-pid-file"] {
                for path in ["/no/such/folder/file", station.scratch.path] {
                    let options = [option, path, "--disk", disk]
                    try station.refused(options, Probe.command("exit", "9"), code: 73, naming: [path])
                }
            }
            #expect(!FileManager.default.fileExists(atPath: "\(station.leaseDirectory)/\(try leaseName(disk))"))
        }
    }

    @Test func theReadyDescriptorIsToldOfARefusal() throws {
        try withStation { station in
            let file = station.scratch.file("ready")
            for options in [["--name", "-"], ["--lease", "x"], ["--config", "/no/file"]] {
                let descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC, 0o600)
                defer { close(descriptor) }
                var program = try station.supervised(options + ["--ready-fd", "9"], ["/bin/true"])
                program.passing[9] = descriptor
                let line = try station.refused(program, code: options[0] == "--config" ? 78 : 64).line
                let text = try String(contentsOfFile: file, encoding: .utf8)
                #expect(text.hasSuffix("\n"))
                let told = try JSONValue(parsing: text)["error"]?.string ?? ""
                #expect(!told.isEmpty && line.hasSuffix(told), "\(told) / \(line)")
            }
        }
    }

    @Test func messagesStayOneLineWhateverTheInputHolds() throws {
        let evil = "\u{1b}[31m\r\nx\u{0b}\u{9b}y\u{2028}z"
        try withStation { station in
            let starts: [([String], [String], Int32)] = [
                (["--name", evil], ["/bin/true"], 64), (["--\(evil)"], ["/bin/true"], 64),
                ([evil], ["/bin/true"], 64), (["--wait", evil], ["/bin/true"], 64),
                (["--lease", evil], ["/bin/true"], 64), (["--uuid", evil], ["/bin/true"], 64),
                (["--driver", evil], ["/bin/true"], 64), (["--log-level", evil], ["/bin/true"], 64),
                (["--config", "/no/\(evil)"], ["/bin/true"], 78), (["--log-file", "/no/\(evil)"], ["/bin/true"], 73),
                ([], ["/no/\(evil)"], 127), ([], [evil], 127),
                ([], ["qemu-system-x86_64", "-drive", "file=a,\(evil)"], 64),
                ([], ["qemu-system-x86_64", "-readconfig", "/no/\(evil)"], 64),
            ]
            for (options, command, code) in starts {
                let line = try station.refused(options, command, code: code).line
                #expect(!line.contains("\u{2028}"), "\(line)")
            }
            let disk = "/no/\(UUID().uuidString)\(evil)"
            let holder = try station.start(["--disk", disk], named: "holder")
            try holder.waitUntilRecorded(disk)
            try station.refused(["--disk", disk], code: 75, naming: ["guest holder"])
            try holder.stop()
            for verb in ["status", "kill", "stop", "child-pid", "wait", "events"] {
                expectOneLine(try station.leasehold(verb, evil), code: 66)
            }
            expectOneLine(try station.leasehold(evil), code: 64)
            expectOneLine(try station.leasehold("status", "a", "--\(evil)"), code: 64)
            expectOneLine(try station.leasehold("list", "--config", "/no/\(evil)"), code: 78)
        }
    }

    @Test func wrongArgumentsOfTheToolAreUsageErrors() throws {
        try withStation { station in
            let wrong: [[String]] = [
                ["frobnicate"], ["--frobnicate"], ["status"], ["status", "a", "b"], ["status", "--frob", "a"],
                ["list", "a"], ["list", "--config"], ["kill"], ["kill", "a", "b"], ["stop"], ["wait"], ["child-pid"],
                ["stop", "a", "--timeout"], ["stop", "a", "--timeout", "x"],
                ["stop", "a", "--timeout", "-1"], ["events", "a", "b"], ["status", ""], ["kill", "", "--json=1"],
            ]
            for arguments in wrong {
                let program = Program(try Products.cli(), arguments, environment: station.environment)
                let outcome = try program.run(timeout: 5)
                expectOneLine(outcome, code: arguments == ["status", ""] ? 66 : 64)
            }
            for verb in ["status", "kill", "stop", "child-pid", "wait", "events"] {
                for name in ["nobody", "../guests", "/", ".", "..", String(repeating: "x", count: 5000)] {
                    let outcome = try station.leasehold(verb, name, timeout: 5)
                    expectOneLine(outcome, code: 66, naming: [String(name.prefix(40))])
                }
            }
            expectOneLine(try station.leasehold("run"), code: 64)
            expectOneLine(try station.leasehold("run", "--name", "x"), code: 64)
            #expect(try station.leasehold("list").expecting(.exit(0)).errors == "")
        }
    }
}

/// A guest's program that can't be run.
@Suite struct BadProgramTests {
    @Test func aProgramThatCannotRunIsNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            func file(_ name: String, _ content: String, _ mode: Int) throws -> String {
                let path = try scratch.write(content, to: name)
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
                return path
            }
            try FileManager.default.createSymbolicLink(
                atPath: scratch.file("loop"), withDestinationPath: scratch.file("loop"))
            let cases: [(String, Int32)] = [
                ("/no/such/program", 127), ("no-such-program", 127), (scratch.file("missing"), 127), ("", 127),
                (scratch.file("loop"), 127), ("/etc/passwd/program", 127),
                ("/" + String(repeating: "x", count: 300), 127),
                (try file("plain", "x", 0o644), 126), (scratch.path, 126), ("/", 126), (".", 126),
                (try file("interpreter", "#!/no/such/interpreter\n", 0o755), 127),
                (try file("folder", "#!/usr\n", 0o755), 126),
            ]
            for (program, code) in cases {
                let disk = try hosts.disk()
                let shown = program.hasPrefix("/xxx") ? "xxx" : program
                try station.refused(["--name", "bad", "--disk", disk], [program, "a"], code: code, naming: [shown])
                #expect(try hosts.holders(of: disk).isEmpty)
                #expect(try station.record(of: disk) == nil)
            }
        }
    }

    @Test func aGuestThatDiesAtOnceFreesItsLeases() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let disk = try hosts.disk()
            for (command, status) in [
                (try Probe.command("exit", "3"), Status.exit(3)), (try Probe.command("signal", "9"), .signal(9)),
                (["/bin/true"], .exit(0)), (["qemu-system-x86_64", "-frobnicate"], .exit(1)),
                (QEMU.command(disks: [disk], more: ["-device", "frobnicator"]), .exit(1)),
            ] {
                let running = try scratch.start(try station.supervised(["--name", "g", "--disk", disk], command))
                let outcome = try running.finish(timeout: 10)
                #expect(outcome.status == status, "\(command): \(outcome)")
                #expect(!outcome.errors.contains("can't start"), "\(outcome)")
                #expect(station.runFiles() == ["exits/g.json"])
                try eventually(within: 2) { scratch.strayProcesses == [] }
                #expect(try hosts.holders(of: disk).isEmpty)
                #expect(try station.record(of: disk) == nil)
                let record = try station.leasehold("wait", "g", "--json").expecting(.exit(0)).json()
                #expect(record["reason"] == "exited" && record["leasesFree"] == true, "\(record)")
            }
        }
    }
}
