import Foundation
import TestSupport
import Testing

/// Metrics as PyPI's prometheus-client understands them.
private struct ReadMetrics {
    struct Sample {
        let name: String
        let labels: [String: String]
        let value: Double
    }

    let samples: [Sample]
    let families: [JSONValue]

    init(_ text: Data, as format: String = "openmetrics") throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/metrics_client.py"
        var program = Program(try Python.path(), ["-B", script, format])
        // A pipe holds 64 KiB.
        let scratch = try Scratch()
        defer { scratch.remove() }
        let file = scratch.file("metrics")
        try text.write(to: URL(fileURLWithPath: file))
        let opened = open(file, O_RDONLY | O_CLOEXEC)
        defer { close(opened) }
        program.input = .descriptor(opened)
        families = try #require(try program.run().expecting(.exit(0)).json().array)
        samples = families.flatMap { $0["samples"]?.array ?? [] }.map { sample in
            Sample(
                name: sample["name"]?.string ?? "",
                labels: (sample["labels"]?.object ?? [:]).compactMapValues(\.string),
                value: sample["value"]?.number ?? .nan)
        }
    }

    /// The values of all samples with a name and these labels.
    func values(_ name: String, _ labels: [String: String] = [:]) -> [Double] {
        samples.filter { sample in sample.name == name && labels.allSatisfy { sample.labels[$0] == $1 } }.map(\.value)
    }

    /// The value of the only one.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let all = values(name, labels)
        return all.count == 1 ? all[0] : nil
    }
}

@Suite struct MetricsTests {
    /// What `leasehold metrics` prints, read by both readers there are.
    private func metrics(_ station: Station) throws -> ReadMetrics {
        let outcome = try station.leasehold("metrics").expecting(.exit(0))
        #expect(outcome.output.hasSuffix("\n# EOF\n") && outcome.errors == "")
        // The older format, as node_exporter reads it, has no other types.
        let types = outcome.output.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
        #expect(types.allSatisfy { $0.hasSuffix(" gauge") || $0.hasSuffix(" counter") })
        let old = try ReadMetrics(outcome.outputData, as: "text")
        let new = try ReadMetrics(outcome.outputData)
        #expect(old.samples.count == new.samples.count)
        for family in new.families {
            #expect(family["help"]?.string?.isEmpty == false)
            let name = family["name"]?.string ?? ""
            #expect(name.hasPrefix("leasehold_") && (name.hasSuffix("_seconds") == (family["unit"] == "seconds")))
        }
        // And the same as JSON; the first look at the lockspace may come in between.
        try eventually(within: 20, every: 200, "the same as JSON") {
            let json = try #require(try station.leasehold("metrics", "--json").expecting(.exit(0)).json().array)
            #expect(json.allSatisfy { $0["samples"]?.array?.allSatisfy { $0["value"]?.number != nil } == true })
            let text = try ReadMetrics(try station.leasehold("metrics").expecting(.exit(0)).outputData).families
            return [json, text].map { families in
                families.map { family in
                    [family["name"], family["type"], family["help"]]
                        + (family["samples"]?.array ?? []).map { $0["labels"] }
                }
            }.allSame
        }
        return new
    }

    @Test func aGuestItsLeasesAndTheLockspaceAreMeasured() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disks = [try hosts.disk(), try hosts.disk("with space \"and\" back\\slash")]
            let guest = try station.start(["--disk", disks[0], "--shared-disk", disks[1]], named: "web1")
            let read = try metrics(station)
            #expect(read.value("leasehold_guest_info", ["guest": "web1", "on_lease_loss": "poweroff"]) == 1)
            #expect(read.value("leasehold_guest_state", ["guest": "web1", "state": "running"]) == 1)
            #expect(read.values("leasehold_guest_state", ["guest": "web1"]).reduce(0, +) == 1)
            #expect(read.value("leasehold_guest_leases", ["guest": "web1", "state": "held"]) == 2)
            #expect(read.value("leasehold_guest_answers", ["guest": "web1"]) == 1)
            #expect(read.value("leasehold_lease_state", ["disk": disks[1], "mode": "shared", "state": "held"]) == 1)
            #expect(read.value("leasehold_lease_state", ["disk": disks[0], "state": "lost"]) == 0)
            let version = try guest.status()["leases"]?.array?.first { $0["disk"]?.string == disks[0] }?["version"]
            #expect(read.value("leasehold_lease_version", ["disk": disks[0]]) == version?.number)
            #expect(read.values("leasehold_lease_version").count == 1)
            let started = try #require(read.value("leasehold_supervisor_start_time_seconds"))
            #expect(abs(started - Date().timeIntervalSince1970) < 20)
            #expect((read.value("leasehold_guest_events_total", ["guest": "web1"]) ?? 0) >= 3)
            #expect(read.value("leasehold_guests") == 1 && read.value("leasehold_silent_guests") == 0)
            #expect(read.value("leasehold_sanlock_daemon_up") == 1 && read.value("leasehold_watchdog_on") == 0)
            #expect(read.value("leasehold_lockspace_joined") == 1)
            let lockspace = ["lockspace": TwoHosts.lockspace, "host_id": "1"]
            let age = try #require(read.value("leasehold_lockspace_last_renewal_age_seconds", lockspace))
            #expect((0...6).contains(age))
            let acts = try #require(read.value("leasehold_lockspace_acts_in_seconds", lockspace))
            #expect(abs(acts - (8 - age)) < 0.01)
            let others = try #require(read.value("leasehold_lockspace_others_may_take_in_seconds", lockspace))
            #expect(abs(others - (68 - age)) < 0.01)
            try guest.stop()
            let after = try metrics(station)
            #expect(after.value("leasehold_guests") == 0 && after.values("leasehold_guest_info") == [])
            #expect(after.value("leasehold_exit_records", ["reason": "stopped"]) == 1)
            #expect(after.value("leasehold_last_exit_time_seconds", ["guest": "web1", "reason": "stopped"]) != nil)
        }
    }

    @Test func aHostileGuestNameIsALabelLikeAnother() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let name = "a\"b\\n\\c {x=1} # é"
            let command = [
                "qemu-system-x86_64", "-M", "none", "-nodefaults", "-display", "none", "-name", "guest=\(name)",
            ]
            let running = try scratch.start(try station.supervised(["--disk", try hosts.disk()], command))
            try eventually(within: 15, every: 100) {
                try metrics(station).value("leasehold_guest_info", ["guest": name, "state": "running"]) == 1
            }
            running.signal(SIGTERM)
            _ = try running.finish(timeout: 10)
        }
    }

    @Test func whatHangsIsSaidSoAndTheRestIsMeasured() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let guests = try ["one", "two", "three"].map { try station.start(["--disk", try hosts.disk()], named: $0) }
            for guest in guests.dropLast() { guest.running.signal(SIGSTOP) }
            hosts.first.daemon.stop()
            let told = try station.leasehold("metrics").expecting(.exit(0))
            #expect(told.seconds < 15)
            hosts.first.daemon.cont()
            let read = try ReadMetrics(told.outputData)
            for guest in guests { guest.running.signal(SIGCONT) }
            #expect(read.value("leasehold_guests") == 3 && read.value("leasehold_silent_guests") == 2)
            #expect(["one", "two", "three"].map { read.value("leasehold_guest_answers", ["guest": $0]) } == [0, 0, 1])
            #expect(read.value("leasehold_guest_leases", ["guest": "one", "state": "held"]) == 1)
            #expect(read.value("leasehold_sanlock_daemon_up") == 0)
            // What nobody can know is left out.
            #expect(read.values("leasehold_lockspace_joined") == [])
            for guest in guests { try guest.stop() }
        }
    }

    @Test func aFileIsWrittenWholeOrNotAtAll() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let folder = try scratch.directory("textfile")
            let file = "\(folder)/leasehold.prom"
            for _ in 0..<2 {
                let outcome = try station.leasehold("metrics", "--output", file).expecting(.exit(0))
                #expect(outcome.output == "" && outcome.errors == "")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["leasehold.prom"])
            }
            let content = try Data(contentsOf: URL(fileURLWithPath: file))
            #expect(try ReadMetrics(content).value("leasehold_sanlock_daemon_up") == 1)
            #expect(FileSight(file)?.permissions == 0o644)
            let missing = "\(folder)/none/leasehold.prom"
            expectOneLine(try station.leasehold("metrics", "--output", missing), code: 73, naming: [missing])
        }
    }

    /// Disks of every spelling, in the record of a guest whose supervisor says nothing: this process has its lock.
    @Test func everyLabelValueComesThroughTheReaderAsItWas() throws {
        let hosts = try TwoHosts.shared
        let seed = UInt64.random(in: 0...(.max))
        print("metrics labels: seed \(seed)")
        var random = Dice(state: seed)
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disks = Set((0..<400).map { _ in random.text() })
            let folder = try scratch.directory(
                "\(station.runDirectory.dropFirst(scratch.path.utf8.count + 1))/guests/fake")
            let leases = disks.map { disk -> JSONValue in
                [
                    "disk": .string(disk), "mode": "exclusive", "lockspace": "L", "resource": "R", "path": "/p",
                    "offset": 0, "version": 1, "state": "held",
                ]
            }
            let name = random.text()
            let status: JSONValue = [
                "name": .string(name), "uuid": "u", "supervisorPid": .integer(Int64(getpid())), "state": "running",
                "since": "2026-11-22T10:00:00Z", "command": ["x"], "driver": "sanlock", "onLeaseLoss": "poweroff",
                "watchdog": false, "leases": .array(leases), "lockspaces": [],
            ]
            try status.data.write(to: URL(fileURLWithPath: "\(folder)/state.json"))
            try Data("\(getpid())\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/supervisor.pid"))
            let opened = open("\(folder)/supervisor.pid", O_RDWR | O_CLOEXEC)
            defer { close(opened) }
            var lock = Glibc.flock()
            lock.l_type = Int16(F_WRLCK)
            try #require(fcntl(opened, 37, &lock) == 0)
            let read = try metrics(station)
            let versions = read.samples.filter { $0.name == "leasehold_lease_version" }
            let found = Set(versions.map { Array(($0.labels["disk"] ?? "").utf8) })
            #expect(found == Set(disks.map { Array($0.utf8) }))
            #expect(versions.allSatisfy { Array(($0.labels["guest"] ?? "").utf8) == Array(name.utf8) })
            #expect(read.value("leasehold_silent_guests") == 1)
        }
    }
}

/// Random texts with everything in them that a reader may stumble over.
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    mutating func text() -> String {
        let length = Int.random(in: 1...20, using: &self)
        let odd: [Unicode.Scalar] = [
            "\\", "\"", "\n", "\r", "n", "{", "}", ",", "=", "#", " ", "\t", "\u{1}", "\u{85}",
        ]
        return (0..<length).reduce(into: "") { text, _ in
            let scalar: Unicode.Scalar
            switch Int.random(in: 0..<4, using: &self) {
            case 0: scalar = Unicode.Scalar(UInt32.random(in: 1..<0xd800, using: &self)) ?? "?"
            case 1: scalar = Unicode.Scalar(UInt32.random(in: 0xe000...0x10ffff, using: &self)) ?? "?"
            default: scalar = odd.randomElement(using: &self) ?? "?"
            }
            text.unicodeScalars.append(scalar)
        }
    }
}

extension Array where Element: Equatable {
    /// Whether all are equal.
    fileprivate var allSame: Bool { dropFirst().allSatisfy { $0 == first } }
}
