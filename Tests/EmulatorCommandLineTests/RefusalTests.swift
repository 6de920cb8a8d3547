import Testing

@testable import EmulatorCommandLine

@Suite struct RefusalTests {
    @Test(arguments: [
        (["-drive", "file=/x,readonly=maybe"], "readonly=maybe is not on or off"),
        (["-drive", "file=/x,read-only=ON"], "read-only=ON is not on or off"),
        (["-drive", "file=/x,snapshot=1"], "snapshot=1 is not on or off"),
        (["-drive", "file=/x,file.read-only=2"], "read-only=2 is not on or off"),
        (["-drive", "/x"], "'/x' has no '='"),
        (["-drive", "x.img,if=none"], "'x.img' has no '='"),
        (["-drive", "file"], "'file' has no '='"),
        (["-drive", "nofile=/x,nothing"], "'nothing' has no '='"),
        (["-drive"], "its argument is missing"),
        (["-hda"], "its argument is missing"),
        (["-drive", "file=/x,format=new"], "what the block driver 'new' opens is not known"),
        (["-drive", "file=/x,format=raw,driver=raw"], "'driver' and 'format' are both given"),
        (["-drive", "file=zfs:pool"], "the protocol 'zfs' is not known"),
        (["-drive", "file=fd:3"], "the protocol 'fd' is not known"),
        (["-drive", "file=/dev/fd/3"], "a file descriptor doesn't say which disk it is"),
        (["-drive", "file=/dev/fdset/1"], "a file descriptor doesn't say which disk it is"),
        (["-add-fd", "fd=3,set=1", "-blockdev", "file,node-name=f,filename=//dev/./fdset/1"], "a file descriptor"),
        (["/proc/self/fd/4"], "a file descriptor doesn't say which disk it is"),
        (["-hda", "/dev/stdin"], "a file descriptor doesn't say which disk it is"),
        (["-hda", "/x\u{fffd}"], "the disk's path is not UTF-8"),
        (["-hda", "file:"], "the disk's path is empty"),
        (["-drive", "file=/x,file.filename=/y"], "'file' and 'file.filename' are both given"),
        (["-drive", "driver=file,file=/x,filename=/y"], "'file' and 'filename' are both given"),
        (["-drive", "driver=file"], "the file disk has no filename"),
        (["-drive", "file.locking=off"], "the options of a disk don't name it"),
        (["-drive", "file=/x,backing.read-only=off"], "it makes a backing file writable without naming it"),
        (
            ["-drive", "file=/x,backing.driver=qcow2,backing.read-only=off"],
            "it makes a backing file writable without naming it"
        ),
        (["-drive", "file=/x,data-file.driver=raw"], "the options of a disk don't name it"),
        (["-drive", "flie=/x,if=virtio"], "the options of a disk don't name it"),
        (["-drive", "driver=quorum,children=a"], "'children' is no list of block nodes"),
        (["-blockdev", "raw,node-name=r"], "the options of a disk don't name it"),
        (["-drive", "file=/x,data-file.locking=off"], "the options of a disk don't name it"),
        (["-drive", "file=/x,backing=b"], "there is no block node 'b'"),
        (["-drive", "file=/x,backing=b,backing.driver=raw"], "'backing.driver' is given as a value and as a group"),
        (["-drive", "file=/x,a..b=c"], "'a..b' is no parameter name"),
        (["-drive", "id=a,file=/x", "-drive", "id=a,file=/y"], "the id 'a' is given to two disks"),
        (
            ["-drive", "id=a,file=/x", "-blockdev", "file,node-name=a,filename=/y"],
            "the name 'a' is given to two disks"
        ),
        (["-drive", "file=json:{"], "the JSON lacks a key"),
        (["-drive", "file=json:[]"], "the JSON is no object"),
        (["-drive", "file=blkdebug:x"], "blkdebug"),
        (["-drive", "file=blkverify:x"], "blkverify"),
        (["-drive", "file=nvme://x"], "nvme://ADDRESS/NAMESPACE"),
        (["-drive", "driver=vvfat"], "the vvfat disk has no dir"),
        (["-drive", "driver=vvfat,file=/x"], "the folder is not fat:PATH"),
        (["-drive", "file=nbd:h"], "'h' is no host and port"),
        (["-drive", "file=nbd:unix:"], "the disk's path is empty"),
        (["-drive", "file=nbd://"], "the nbd disk names no host"),
        (["-drive", "file=nbd://[::1/x"], "is no host and port"),
        (["-drive", "file=nbd://h:p/x"], "is no host and port"),
        (["-drive", "file=nbd+unix:///x"], "names no socket"),
        (["-drive", "driver=nbd,server.type=fd,server.str=3"], "a server of type fd"),
        (["-drive", "file=rbd:x"], "the rbd disk is not rbd:POOL/IMAGE"),
        (["-drive", "file=iscsi://h/t"], "iscsi://HOST/TARGET/LUN"),
        (["-drive", "file=gluster://h/v"], "the gluster disk names no volume and path"),
        (["-drive", "driver=nfs,path=/x"], "the nfs disk names no server"),
        (["-drive", "driver=https"], "the https disk has no url"),
        (["-drive", "file=https://h/%ff"], "%XX escape"),
        (["-blockdev", "driver=file"], "the file disk has no filename"),
        (["-blockdev", "node-name=x"], "the options of a disk don't name it"),
        (["-blockdev", "file,read-only"], "'=' is missing after 'read-only'"),
        (["-blockdev", "file,filename=/x,read-only=perhaps"], "read-only=perhaps is not on or off"),
        (["-blockdev", "raw,file=f,file.driver=file"], "'file.driver' is given as a value and as a group"),
        (["-blockdev", "raw,file=nowhere"], "there is no block node 'nowhere'"),
        (["-blockdev", "{\"driver\":\"file\",\"filename\":\"/x\"} x"], "there is text after the JSON"),
        (["-blockdev", "{\"driver\":\"file\",\"driver\":\"raw\"}"], "the JSON has the key 'driver' twice"),
        (["-blockdev", "{\"driver\":[]}"], "the driver is no name"),
        (["-blockdev", "{\"driver\":\"raw\",\"file\":7}"], "'file' is no block node"),
        (["-device", "{\"driver\""], "the JSON lacks a ':' after 'driver'"),
        (["-device", "scsi-hd,drive=x,share-rw=maybe"], "share-rw=maybe is not on or off"),
        (["-set", "drive.a.file=/x"], "there is no drive 'a' before it"),
        (["-set", "drive.a"], "it is not GROUP.ID.KEY=VALUE"),
        (["-usbdevice", "disk:/x"], "disks aren't given this way any more"),
        (["-frobnicate", "/x"], "may be its argument or a disk image"),
        (["-frobnicate", "x.qcow2"], "may be its argument or a disk image"),
    ])
    func whatCantBeReadIsNamedInOneLine(_ options: [String], _ reason: String) throws {
        let message = try #require(refusal(options))
        #expect(message.contains(reason), "\(message)")
        #expect(message.contains("--no-auto-disks"))
        #expect(!message.utf8.contains(0x0a))
        #expect(message.contains(options.last ?? ""), "\(message)")
    }

    @Test func controlCharactersAndLengthDontBreakTheLine() throws {
        let message = try #require(
            refusal(["-drive", "file=/x\n\r\u{2028}\u{202e},readonly=?" + String(repeating: "y", count: 9000)]))
        #expect(message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x2028 && $0.value != 0x202e })
        #expect(message.utf8.count < 2000)
    }

    @Test(arguments: ["{'a':", "[", "blkdebug::", "blkverify:x:", "file."])
    func deepNestingEnds(_ part: String) {
        let deep = String(repeating: part, count: 20000)
        #expect(refusal(["-blockdev", deep]) != nil)
        #expect(refusal(["-hda", "json:" + deep]) != nil)
        if part.contains(":") && part.hasPrefix("b") { #expect(refusal(["-hda", deep + "/x"]) != nil) }
        #expect(refusal(["-drive", deep + "filename=/x"]) != nil)
    }
}
