import Glibc
import TestSupport
import Testing

@testable import Platform

/// Looks at a host that change nothing, and at what may hang.
@Suite struct HostSightTests {
    @Test func mountsAreFoundByTheirDeviceAndTheLastOneCounts() throws {
        let table = """
            22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
            30 22 0:40 / /mnt/one\\040two rw,nosuid shared:2 master:1 - nfs4 server:/x rw,vers=4.2,local_lock=none
            31 22 0:40 / /mnt/again ro - nfs4 server:/x rw,nolock
            broken line
            """
        let mount = try #require(FileSystem.mount(of: "0:40", in: table))
        #expect(mount.kind == "nfs4" && mount.options == ["ro", "rw", "nolock"])
        #expect(FileSystem.mount(of: "254:1", in: table)?.kind == "ext4")
        #expect(FileSystem.mount(of: "9:9", in: table) == nil)
        let own = try FileSystem(at: "/proc")
        #expect(own.kind == "proc" && own.freeFiles == nil)
    }

    @Test func writingAFileIsAMatterOfUserGroupsAndMode() throws {
        try withScratch { scratch in
            let path = try scratch.write("", to: "file")
            func may(_ mode: mode_t, _ user: UInt32, _ group: UInt32, _ groups: [UInt32] = []) throws -> Bool {
                #expect(chown(path, 10, 20) == 0 && chmod(path, mode) == 0)
                let kind = try #require(try Files.kind(of: path))
                return ProcessUser(user: user, group: group, groups: groups).mayWrite(kind)
            }
            #expect(try may(0, 0, 99))
            #expect(try may(0o200, 10, 99) && !may(0o022, 10, 20))
            #expect(try may(0o020, 11, 20) && may(0o020, 11, 99, [5, 20]) && !may(0o202, 11, 99, [20]))
            #expect(try may(0o002, 11, 99) && !may(0o660, 11, 99))
        }
    }

    @Test func aProcessesUserIsItsOwn() throws {
        let own = try #require(ProcessUser(of: getpid()))
        #expect(own.user == geteuid() && own.group == getegid() && own.name.contains("uid \(geteuid())"))
        #expect(ProcessUser(of: Int32.max) == nil)
    }

    @Test func aProbeFileIsGoneOnceItIsMadeAndCanBeTried() throws {
        try withScratch { scratch in
            let folder = try scratch.directory("folder")
            let probe = try ProbeFile.make(in: folder, name: "\(folder)/probe")
            #expect(try Files.names(in: folder) == [])
            try probe.tryDirectAccess()
            #expect(try probe.tryLocks())
        }
    }
}
