import Testing

@testable import EmulatorCommandLine

/// Disks as people, programs and QEMU's monitor name them.
@Suite struct NamedDiskTests {
    @Test(arguments: [
        ("/a", "/a"), ("/a//b/../c:d", "/a//b/../c:d"), ("a", "/there/a"), ("./a:b", "/there/./a:b"),
        ("file:/a", "/a"), ("file:a", "/there/a"), ("file:nbd://h/e", "/there/nbd://h/e"), ("/nbd://h/e", "/nbd://h/e"),
        ("host_device:/dev/x", "/dev/x"), ("unknown:a", "/there/unknown:a"), ("a:b:c", "/there/a:b:c"),
    ])
    func aPathIsMadeAbsoluteAndNothingElse(_ name: String, _ path: String) throws {
        let disk = try NamedDisk(name, in: "/there")
        #expect(disk.path == path && !disk.isRemote)
    }

    /// The lease of a disk that is named by hand is the one that the guest's own command line has.
    @Test(arguments: [
        "nbd://H/e", "nbd://u:secret@h:10809/e?x=1", "nbd:h:10809:exportname=e", "nbd+unix:///e?socket=/s",
        "nbd:unix:s",
        "rbd:p/i:id=admin:key=AQ==", "rbd:p\\:q/i\\@j", "iscsi://u%secret@H/iqn.2001-04.com:x/01",
        "gluster+rdma://h/v/a", "sheepdog:v", "ssh://u@h/d/x%20y", "nfs://h/d", "https://h/x", "nvme://0000:0A:00.0/1",
    ])
    func anotherDiskIsNamedAsInACommandLine(_ name: String) throws {
        let disk = try NamedDisk(name, in: "/there")
        let used = try parse(["qemu-system-x86_64", "-drive", "file=\(name)"]).disks
        #expect(used.map(\.path) == [disk.path] && disk.isRemote)
        #expect(NamedDisk.all(openedAs: name, in: "/there") == [disk.path])
    }

    @Test(arguments: [
        "", "file:", "nbd://", "nbd:h", "rbd:p", "iscsi://h/t", "nvme://x", "fat:rw:/d", "blkdebug::/d", "null-co://",
    ])
    func whatNamesNoDiskIsRefused(_ name: String) {
        #expect(throws: NamedDisk.Problem.self) { try NamedDisk(name, in: "/there") }
    }

    @Test(arguments: ["a", "file:a", "nbd+unix:///e?socket=s"])
    func withoutAFolderNothingIsRelative(_ name: String) {
        #expect(throws: NamedDisk.Problem.self) { try NamedDisk(name, in: nil) }
    }

    @Test func secretsAreNotRepeated() {
        #expect(throws: NamedDisk.Problem.self) { try NamedDisk("iscsi://user%geheim@h/t", in: nil) }
        do {
            _ = try NamedDisk("iscsi://user%geheim@h/t", in: nil)
        } catch {
            #expect(!error.reason.contains("geheim"))
        }
    }

    /// What QEMU's `query-named-block-nodes` has as a node's file.
    @Test(arguments: [
        ("/a", ["/a"]),
        ("json:{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\",\"host\":\"H\",\"port\":\"7\"}}", ["nbd://h:7/"]),
        ("json:{\"driver\":\"rbd\",\"pool\":\"p\",\"image\":\"i\",\"conf\":\"/c\"}", ["rbd:p/i"]),
        (
            "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/b\"}}", ["/b"]
        ),
        ("nbd://::1:10809/e", ["nbd://[::1]:10809/e"]), ("nbd://fe80::1:7", ["nbd://[fe80::1]:7/"]),
        ("nbd+unix:///e?socket=s", ["nbd+unix:///e?socket=/there/s"]), ("null-co://", []),
    ])
    func aNodesFileTellsItsDisks(_ file: String, _ disks: [String]) {
        #expect(NamedDisk.all(openedAs: file, in: "/there") == disks)
    }

    @Test(arguments: [
        "json:{", "", "json:[]", "json:{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\",\"ho...", "nbd://",
    ])
    func aFileThatCannotBeReadIsNotNone(_ file: String) {
        #expect(NamedDisk.all(openedAs: file, in: "/there") == nil)
    }
}
