import DiskNames
import Foundation
import TestSupport
import Testing

@Suite struct DiskIdentityTests {
    @Test func fileIsTheSameUnderEveryName() throws {
        try withScratch { scratch in
            let disk = try scratch.disk("disk.img")
            let identity = try #require(DiskIdentity(of: disk))
            #expect(!identity.isBlockDevice)
            #expect(symlink("disk.img", scratch.file("link.img")) == 0)
            #expect(symlink("link.img", scratch.file("chain.img")) == 0)
            #expect(symlink(".", scratch.file("folder")) == 0)
            #expect(link(disk, scratch.file("hard.img")) == 0)
            let others = [
                "link.img", "chain.img", "folder/disk.img", "hard.img", ".//./disk.img",
                "folder/../\(name(scratch))/disk.img",
            ]
            for other in others {
                #expect(DiskIdentity(of: scratch.file(other)) == identity, "\(other)")
            }
            #expect(DiskIdentity(of: try scratch.disk("other.img")) != identity)
        }
    }

    @Test func blockDeviceIsTheSameUnderEveryName() throws {
        try withScratch { scratch in
            let loop = try LoopDevice(in: scratch, file: "disk.img")
            let other = try LoopDevice(in: scratch, file: "other.img")
            #expect(loop.isAttached && other.isAttached)
            let identity = try #require(DiskIdentity(of: loop.path))
            #expect(identity.isBlockDevice)
            #expect(symlink(loop.path, scratch.file("link")) == 0)
            #expect(mknod(scratch.file("node"), S_IFBLK | 0o600, loop.device) == 0)
            #expect(DiskIdentity(of: scratch.file("link")) == identity)
            #expect(DiskIdentity(of: scratch.file("node")) == identity)
            #expect(DiskIdentity(of: other.path) != identity)
            // What the device's data lies in is another thing than the device.
            #expect(DiskIdentity(of: scratch.file("disk.img")) != identity)
        }
    }

    @Test func whatIsNoDiskHasNoIdentityAndHoldsNobody() throws {
        try withScratch { scratch in
            #expect(mkfifo(scratch.file("fifo"), 0o600) == 0)
            #expect(symlink("fifo", scratch.file("link to fifo")) == 0)
            #expect(symlink("nothing", scratch.file("dangling")) == 0)
            #expect(symlink("loop", scratch.file("loop")) == 0)
            #expect(mknod(scratch.file("character"), S_IFCHR | 0o600, status(of: "/dev/null").st_rdev) == 0)
            for name in ["fifo", "link to fifo", "dangling", "loop", "character", "nothing", "fifo/below", ""] {
                #expect(DiskIdentity(of: scratch.file(name)) == nil, "\(name)")
            }
            #expect(DiskIdentity(of: "") == nil)
            #expect(DiskIdentity(of: "/dev/null") == nil)
            #expect(DiskIdentity(of: String(repeating: "/x", count: 5000)) == nil)
        }
    }

    private func name(_ scratch: Scratch) -> String { URL(fileURLWithPath: scratch.path).lastPathComponent }
}
