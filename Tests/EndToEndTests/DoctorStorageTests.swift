import Foundation
import TestSupport
import Testing

/// `leasehold doctor` and what is wrong with the lease directory and its storage.
@Suite struct DoctorStorageTests {
    /// A host whose lease directory is on a file system of its own. Its lockspace is joined, where there can be one.
    private final class Stage: Sendable {
        let scratch: Scratch
        let mountPoint: String
        let leases: String
        let daemon: SanlockDaemon

        init(_ mount: (_ mountPoint: String, Scratch) throws -> Void) throws {
            let scratch = try Scratch()
            self.scratch = scratch
            do {
                mountPoint = try scratch.directory("m")
                try mount(mountPoint, scratch)
                leases = try scratch.directory("m/leases")
                daemon = try SanlockDaemon(hostName: "host1", runDirectory: scratch.file("s"))
                let daemon = daemon
                scratch.atEnd { daemon.end() }
            } catch {
                scratch.remove()
                throw error
            }
        }

        func station() throws -> Station { try Station(daemon, id: 1, leaseDirectory: leases, scratch) }
    }

    private func withExt4(_ body: (Stage, Station) throws -> Void) throws {
        let stage = try Stage { mountPoint, scratch in
            try LeaseStorage(kind: "ext4", sectorBytes: 512).mount(at: mountPoint, scratch)
        }
        defer { stage.scratch.remove() }
        let station = try stage.station()
        try station.leasehold("lockspace", "join").expecting(.exit(0))
        try station.diagnosis().expectGood()
        try body(stage, station)
    }

    @Test func storageThatHangsIsSaidSoWithinSecondsAndNothingStays() throws {
        try withExt4 { stage, station in
            let before = Set(FileManager.default.subpaths(atPath: stage.leases) ?? [])
            try Program.run("fsfreeze", ["-f", stage.mountPoint]).expecting(.exit(0))
            let thaw = { _ = try? Program.run("fsfreeze", ["-u", stage.mountPoint]) }
            defer { thaw() }
            let diagnosis = try station.diagnosis()
            diagnosis.expect(
                ["leaseStorage": "failed", "leaseLocks": "notChecked"],
                saying: ["leaseStorage": "does not answer (making a file)"])
            #expect(diagnosis.outcome.seconds < 9 && diagnosis.outcome.status == .exit(69))
            // Ended by hand meanwhile, it ends at once.
            let interrupted = try stage.scratch.start(
                Program(try Products.cli(), ["doctor"], environment: station.environment))
            pause(milliseconds: 500)
            #expect(interrupted.isRunning)
            interrupted.signal(SIGINT)
            #expect(try interrupted.wait(timeout: 1) == .signal(SIGINT))
            thaw()
            try eventually(within: 5, every: 20, "what hung being gone") {
                // The daemon and its helper are there for longer.
                stage.scratch.strayProcesses.allSatisfy { process in
                    (try? String(contentsOfFile: "/proc/\(process.pid)/comm", encoding: .utf8))?
                        .hasPrefix("leasehold") != true
                }
            }
            #expect(Set(FileManager.default.subpaths(atPath: stage.leases) ?? []) == before)
            // The lockspace may have failed meanwhile; the storage hasn't.
            #expect(try station.diagnosis().states["leaseStorage"] == "ok")
        }
    }

    @Test func aReadOnlyMountIsNamed() throws {
        try withExt4 { stage, station in
            try station.leasehold("lockspace", "leave").expecting(.exit(0))
            try Program.run("mount", ["-o", "remount,ro", stage.mountPoint]).expecting(.exit(0))
            try station.diagnosis().expect(
                [
                    "leaseDirectory": "failed", "leaseStorage": "notChecked", "leaseLocks": "notChecked",
                    "leaseRights": "notChecked", "lockspace": "warning",
                ], saying: ["leaseDirectory": "read-only"])
        }
    }

    @Test func aFullFileSystemIsNamed() throws {
        try withExt4 { stage, station in
            for size in ["1M", "4k"] {
                _ = try Program.run("dd", ["if=/dev/zero", "of=\(stage.mountPoint)/filler-\(size)", "bs=\(size)"])
            }
            try station.diagnosis().expect(
                ["leaseSpace": "failed", "leaseStorage": "failed"], saying: ["leaseStorage": "No space left"])
            unlink("\(stage.mountPoint)/filler-1M")
            try station.diagnosis().expectGood()
        }
    }

    @Test func aFileSystemWithoutDirectAccessIsNamed() throws {
        let stage = try Stage { mountPoint, scratch in
            try Program.run("mount", ["-t", "ramfs", "none", mountPoint]).expecting(.exit(0))
            scratch.atEnd { _ = try? Program.run("umount", ["-l", mountPoint]) }
        }
        defer { stage.scratch.remove() }
        let environment = try stage.station().environment
        try Diagnosis(environment, watching: stage.leases).expect(
            ["leaseStorage": "failed", "lockspace": "warning", "lockspaceFile": "warning"],
            saying: ["leaseStorage": "O_DIRECT", "fileSystem": "ramfs"])
    }

    @Test func aDirectoryThatIsMissingOrNoneIsNamed() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "host1", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let unknown = [
                "leaseRights", "leaseStorage", "leaseLocks", "leaseSpace", "fileSystem", "leaseFiles", "hostId",
            ]
            for (path, file) in [(scratch.file("none"), "warning"), (try scratch.write("", to: "file"), "failed")] {
                let station = try Station(daemon, id: 1, leaseDirectory: path, scratch)
                var expected = ["leaseDirectory": "failed", "lockspaceFile": file, "lockspace": "warning"]
                for name in unknown { expected[name] = "notChecked" }
                if path.hasSuffix("file") {
                    for name in ["leaseSpace", "fileSystem"] { expected[name] = "notChecked" }
                }
                try station.diagnosis().expect(expected, saying: ["leaseDirectory": path])
            }
        }
    }

    // MARK: The daemon's user

    @Test func whatTheDaemonsUserMayNotUseIsNamed() throws {
        let host = try SanlockUsersHost(owner: "root:root", mode: 0o755)
        defer { host.end() }
        try host.expectStart("/one")
        func diagnosis(_ prefix: [String] = []) throws -> Diagnosis {
            try Diagnosis(host.environment, prefix: prefix, watching: host.leaseDirectory)
        }
        try diagnosis().expectGood()
        let lease = try host.path("/one")
        // Each path, and a mode that keeps the daemon's user out.
        for (path, mode) in [
            (host.leaseDirectory, 0o700), (lease, 0o440), ("\(host.leaseDirectory)/.leasehold", 0o700),
        ] {
            let before = try #require(FileSight(path))
            #expect(chown(path, 0, 0) == 0 && chmod(path, mode_t(mode)) == 0)
            try diagnosis().expect(["leaseRights": "failed"], saying: ["leaseRights": path])
            #expect(chown(path, before.user, before.group) == 0 && chmod(path, before.permissions) == 0)
        }
        try diagnosis().expectGood()
        // Who isn't root can't try as another user, and says so.
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        #expect(try diagnosis(nobody).states["leaseRights"] == "notChecked")
    }
}
