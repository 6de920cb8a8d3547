import Foundation
import TestSupport
import Testing

/// `leasehold doctor` and what is wrong with processes, run directory and guests of a host.
@Suite(.serialized) struct DoctorHostTests {
    private func withStation(_ body: (TwoHosts, Station) throws -> Void) throws {
        let hosts = try TwoHosts.ofDoctor
        try withScratch { scratch in try body(hosts, try Station(on: hosts.first, of: hosts, scratch)) }
    }

    @Test func aMemoryLockLimitThatIsTooLowIsNamed() throws {
        try withStation { _, station in
            let limited = [
                "prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock",
            ]
            try station.diagnosis(prefix: limited)
                .expect(["memoryLock": "warning"], saying: ["memoryLock": "64 KiB"])
            // The limit alone doesn't bind who may pass it.
            try station.diagnosis(prefix: ["prlimit", "--memlock=0:0"]).expectGood()
        }
    }

    @Test func whatKilledSupervisorsLeftIsNamedAndNotEnded() throws {
        try withStation { hosts, station in
            let guest = try station.start(["--disk", try hosts.disk()], named: "lost")
            let all = guest.running.descendants
            for process in all { process.signal(SIGSTOP) }
            guest.running.signal(SIGKILL)
            for process in all { process.signal(SIGKILL) }
            _ = try guest.running.finish(timeout: 5)
            let before = station.runFiles()
            try station.diagnosis().expect(["leftovers": "warning"], saying: ["leftovers": "lost"])
            #expect(station.runFiles() == before && before.contains("guests/lost/state.json"))
            try station.leasehold("list").expecting(.exit(0))
            try station.diagnosis().expectGood()
        }
    }

    @Test(arguments: [[], ["setpriv", "--reuid=65534", "--regid=0", "--clear-groups"]])
    func aGuestThatCouldOpenSanlocksSocketIsNamed(prefix: [String]) throws {
        try withStation { hosts, station in
            let guest = try station.start(["--disk", try hosts.disk()], prefix + ["sleep", "60"], named: "mighty")
            try eventually(within: 5) {
                let words = try station.diagnosis().found["guestUsers"]
                return words?.contains(prefix.isEmpty ? "user root" : "65534") == true
            }
            try station.diagnosis().expect(["guestUsers": "warning"], saying: ["guestUsers": "mighty"])
            let status = try station.leasehold("status", "mighty").expecting(.exit(0)).output
            #expect(status.contains("sanlock's own socket"), "\(status)")
            try guest.stop()
        }
    }

    /// On a pair of its own: the other tests find every disk of theirs well named.
    @Test func disksWithoutAStableNameAreNamed() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let disk = try hosts.disk()
            let link = station.scratch.file("link")
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: disk)
            // On another host, so known by its record alone.
            let other = try Station(on: hosts.second, of: hosts, station.scratch)
            let guest = try other.start(["--disk", link])
            try guest.waitUntilRecorded(link)
            let diagnosis = try station.diagnosis()
            #expect(diagnosis.states["diskPaths"] == "warning" && diagnosis.states["guestUsers"] == "ok")
            try guest.stop()
            // On this one, where no record can be read.
            let own = try station.start(["--shared-disk", link])
            try station.diagnosis().expect(
                ["diskPaths": "warning", "guestUsers": "warning"], saying: ["diskPaths": link])
            try own.stop()
        }
    }

    @Test func aRunDirectoryThatGuestsCannotBeFoundThroughIsNamed() throws {
        try withStation { _, station in
            func diagnosis(_ path: String) throws -> Diagnosis {
                try Diagnosis(station.environment.merging(["LEASEHOLD_RUN_DIR": path]) { $1 })
            }
            let base = station.scratch.path
            let long = "\(base)/" + String(repeating: "n", count: 60 - base.utf8.count)
            try diagnosis(long).expect(["runDirectory": "warning"], saying: ["runDirectory": "30 bytes"])
            try diagnosis(long + String(repeating: "n", count: 40)).expect(["runDirectory": "failed"])
            let file = try station.scratch.write("", to: "file")
            try diagnosis(file).expect(["runDirectory": "failed", "leftovers": "notChecked"])
            #expect(!FileManager.default.fileExists(atPath: long))
        }
    }

    @Test func aSupervisorThatIsNotInstalledIsNamed() throws {
        try withStation { _, station in
            let alone = station.scratch.file("leasehold")
            try FileManager.default.copyItem(atPath: try Products.cli(), toPath: alone)
            var environment = station.environment
            environment["PATH"] = station.scratch.path
            let outcome = try Program(alone, ["doctor", "--json"], environment: environment).run()
            let failed = try #require(try outcome.json()["checks"]?.array).filter { $0["state"] == "failed" }
            #expect(failed.map { $0["name"]?.string } == ["supervisorProgram"] && outcome.status == .exit(69))
        }
    }

    @Test func aWrongConfigurationIsRefusedAsElsewhere() throws {
        try withStation { _, station in
            let file = try station.scratch.write("host_id = many\n", to: "wrong.conf")
            expectOneLine(
                try station.leasehold("doctor", "--config", file), code: 78, naming: ["\(file):1", "host_id"])
            let missing = station.scratch.file("none.conf")
            expectOneLine(try station.leasehold("doctor", "--config", missing), code: 78, naming: [missing])
        }
    }

    /// What this machine can't be made to do, the C library is made to say.
    @Test func aClockInThePastAndLocksThatDontWorkAreNamed() throws {
        try withStation { _, station in
            let source = try station.scratch.write(
                """
                #define _GNU_SOURCE
                #include <dlfcn.h>
                #include <errno.h>
                #include <stdarg.h>
                #include <time.h>
                int clock_gettime(clockid_t clock, struct timespec *now)
                {
                    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
                    int result = real(clock, now);
                    if (clock == CLOCK_REALTIME)
                        now->tv_sec = 86400;
                    return result;
                }
                int fcntl(int fd, int command, ...)
                {
                    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, "fcntl64");
                    va_list list;
                    va_start(list, command);
                    void *argument = va_arg(list, void *);
                    va_end(list);
                    if (command == 37) {
                        errno = ENOLCK;
                        return -1;
                    }
                    return real(fd, command, argument);
                }
                int fcntl64(int fd, int command, void *argument) { return fcntl(fd, command, argument); }
                """, to: "shim.c")
            let library = station.scratch.file("shim.so")
            try Program.run("clang", ["-shared", "-fPIC", "-o", library, source, "-ldl"]).expecting(.exit(0))
            try Diagnosis(station.environment.merging(["LD_PRELOAD": library]) { $1 }).expect(
                ["clock": "warning", "leaseLocks": "failed"],
                saying: ["clock": "1970-01-02T", "leaseLocks": "No locks available"])
        }
    }
}
