import Testing

@testable import EmulatorCommandLine

@Suite struct DriveTests {
    @Test(arguments: [
        Sample("-drive file=/x", "W /x"),
        Sample("--drive file=/x", "W /x"),
        Sample("-drive if=virtio,file=x.img,format=raw", "W /there/x.img"),
        Sample("-drive file=./x//y", "W /there/./x//y"),
        Sample("-drive file=/a,,b,if=none", "W /a,b"),
        Sample("-drive file=/a,file=/b", "W /b"),
        Sample("-drive file=file:/x", "W /x"),
        Sample("-drive file=file:///x", "W ///x"),
        Sample("-drive file=file:x:y", "W /there/x:y"),
        Sample("-drive file=./x:y", "W /there/./x:y"),
        Sample("-drive file=/x:y", "W /x:y"),
        Sample("-drive file.filename=file:x", "W /there/file:x"),
        Sample("-drive file.filename=nbd://h/x", "W /there/nbd://h/x"),
        Sample("-drive file.driver=file,file.filename=/x,format=raw", "W /x"),
        Sample("-drive driver=file,filename=/x", "W /x"),
        Sample("-drive driver=file,file=/x", "W /x"),
        Sample("-drive driver=raw,file=/x,file.locking=off", "W /x"),
        Sample("-drive file=/x,cache=none,cache.direct=on", "W /x"),
        Sample("-drive file=host_device:/dev/sdb", "W /dev/sdb"),
        Sample("-drive file=host_cdrom:/dev/sr0", "R /dev/sr0"),
        Sample("-drive file=/dev/cdrom,media=cdrom", "R /dev/cdrom"),
        Sample("-drive if=none,id=a"),
        Sample("-drive file=,if=none,id=a"),
        Sample("-drive if=ide,media=cdrom,readonly=on"),
        Sample("-drive driver=null-co,size=1G"),
        Sample("-drive file=null-co://,format=raw"),
        Sample("-drive file=null-aio://"),
        Sample("-drive file=nvme://0000:44:00.0/1", "W nvme://0000:44:00.0/1"),
        Sample("-drive driver=nvme,device=0000:44:00.0,namespace=1", "W nvme://0000:44:00.0/1"),
        Sample("-drive file=fat:/d", "R /d"),
        Sample("-drive file=fat:rw:/d", "W /d"),
        Sample("-drive file=fat:32:floppy:rw:d", "W /there/d"),
        Sample("-drive file=fat:rw:/d,snapshot=on", "R /d"),
        Sample("-drive driver=vvfat,dir=/d,rw=on", "W /d"),
        Sample("-drive driver=vvfat,dir=/d,rw", "W /d"),
        Sample("-drive driver=vvfat,dir=/d", "R /d"),
        Sample("-drive file=blkdebug::/x", "W /x"),
        Sample("-drive file=blkdebug:/cfg:nbd://h/x", "W@ nbd://h:10809/x"),
        Sample("-drive file=blkdebug::file:/x,readonly=on", "R /x"),
        Sample("-drive file=blkverify:/raw:/img", "W /raw", "W /img"),
        Sample(
            "-drive driver=quorum,children.0.file.filename=/a,children.1.driver=raw,children.1.file.filename=/b",
            "W /a", "W /b"),
    ])
    func disksOfADriveAreFound(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    @Test(arguments: [
        Sample("-drive file=/x,readonly=on", "R /x"),
        Sample("-drive file=/x,read-only=on", "R /x"),
        Sample("-drive file=/x,readonly", "R /x"),
        Sample("-drive file=/x,noreadonly", "W /x"),
        Sample("-drive file=/x,readonly=yes", "R /x"),
        Sample("-drive file=/x,readonly=true", "R /x"),
        Sample("-drive file=/x,readonly=y", "R /x"),
        Sample("-drive file=/x,readonly=off", "W /x"),
        Sample("-drive file=/x,readonly=no", "W /x"),
        Sample("-drive file=/x,readonly=off,readonly=on", "W /x"),
        Sample("-drive file=/x,readonly=on,readonly=off", "W /x"),
        Sample("-drive file=/x,media=cdrom,readonly=off", "R /x"),
        Sample("-drive file=/x,media=disk", "W /x"),
        Sample("-drive file=/x,snapshot=on", "R /x"),
        Sample("-drive file=/x,snapshot", "R /x"),
        Sample("-drive file=/x,snapshot=off", "W /x"),
        Sample("-drive file=/x,auto-read-only=on", "W /x"),
        Sample("-drive file=/x,file.read-only=on", "R /x"),
        Sample("-drive file=/x,readonly=on,file.read-only=off", "W /x"),
        Sample("-snapshot -drive file=/x", "R /x"),
        Sample("-drive file=/x --snapshot", "R /x"),
        Sample("-snapshot -drive file=/x,snapshot=off", "W /x"),
        Sample("-snapshot -hda /x /y", "R /x", "R /y"),
        Sample("-snapshot -blockdev file,filename=/x,node-name=x", "W /x"),
        Sample("-drive file=/x,backing.file.filename=/b", "W /x", "R /b"),
        Sample("-drive file=/x,backing.file.filename=/b,backing.read-only=off", "W /x", "W /b"),
        Sample("-drive file=/x,backing=", "W /x"),
        Sample("-drive file=/x,backing.driver=qcow2", "W /x"),
        Sample("-drive file=/x,format=qcow2,data-file.filename=/d", "W /x", "W /d"),
        Sample("-drive file=/x,readonly=on,data-file.filename=/d", "R /x", "R /d"),
    ])
    func readOnlyIsWhatTheGuestCantWrite(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    @Test(arguments: [
        Sample("-hda /a -hdb b -hdc /c -hdd /d", "W /a", "W /there/b", "W /c", "W /d"),
        Sample("-hda /a,b=c", "W /a,b=c"),
        Sample("-cdrom /a", "R /a"),
        Sample("-sd /a -mtdblock /b -pflash /c -fda /d -fdb /e", "W /a", "W /b", "W /c", "W /d", "W /e"),
        Sample("-hda nbd://H/x", "W@ nbd://h:10809/x"),
        Sample("/a", "W /a"),
        Sample("a.img -m 1G b.img", "W /there/a.img", "W /there/b.img"),
        Sample("@file", "W /there/@file"),
        Sample("-enable-kvm /a -nographic /b", "W /a", "W /b"),
        Sample("-kernel /k -initrd /i -append x -bios /b /a", "W /a"),
        Sample("-run-with user=x -shim s -perfmap /a", "W /a"),
    ])
    func shortOptionsAndWordsAreDisks(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    @Test(arguments: [
        "-virtfs local,path=/x,mount_tag=t,security_model=none", "-fsdev local,id=f,path=/x,security_model=none",
        "-kernel /x", "-bios /x", "-mem-path /x", "-chardev file,id=c,path=/x", "-serial file:/x", "-netdev user,id=n",
        "-device vfio-pci,host=01:00.0", "-device usb-storage,drive=nowhere",
        "-object rng-random,id=r,filename=/dev/random",
        "-object secret,id=s,file=/x", "-object {bad", "-object memory-backend-file,id=m,mem-path=/x,share=on,size=1G",
        "-global virtio-blk-pci.share-rw=on", "-set machine.x.y=z", "-fw_cfg name=x,file=/x",
        "-tpmdev passthrough,id=t",
        "-dtb x.img", "-some-new-option", "-some-new-option on", "-some-new-option user=/x", "--new a,b=c", "-", "--",
        "-usbdevice tablet", "-hdachs 1,2,3", "-drive if=none", "-uuid", "-m",
    ])
    func whatCantOpenADiskIsPassedOver(_ options: String) throws {
        #expect(try disks(options.split(separator: " ").map(String.init)) == [])
    }

    @Test func json() throws {
        #expect(
            try disks(["-drive", "file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":\"file\",,\"filename\":\"/x\"}}"])
                == ["W /x"])
        #expect(try disks(["-hda", "json:{'driver':'qcow2','file.filename':'x'}"]) == ["W /there/x"])
        #expect(try disks(["-hda", "json:{'driver':'nbd','host':'H','export':'e'}"]) == ["W@ nbd://h:10809/e"])
        // -drive says read-only=off itself, which goes before what its file name says.
        #expect(
            try disks(["-drive", "file=json:{'driver':'raw',,'read-only':true,,'file.filename':'/x'}"]) == ["W /x"])
        #expect(try disks(["-drive", "readonly=on,file=json:{'driver':'raw',,'file.filename':'/x'}"]) == ["R /x"])
        #expect(try disks(["-drive", "file=json:{'driver':'file',,'filename':'/a\\u00e9\\n'}"]) == ["W /aé\n"])
    }

    @Test func aDiskNamedOftenIsGivenOnceWithItsStrongestUse() throws {
        let command = try parse(["kvm", "-cdrom", "/x", "-hda", "/y", "-hdb", "/x", "-drive", "file=/y,readonly=on"])
        #expect(command.disks.map(describe) == ["W /x", "W /y"])
        #expect(command.disks.map(\.origin) == ["-hdb /x", "-hda /y"])
    }

    @Test func pathsThatDifferOnlyInUnicodeFormAreTwoDisks() throws {
        let found = try parse(["kvm", "/e\u{301}", "/\u{e9}"]).disks.map { Array($0.path.utf8) }
        #expect(found == [Array("/e\u{301}".utf8), Array("/\u{e9}".utf8)])
    }

    @Test func aCommaBeforeACombiningMarkIsAComma() throws {
        #expect(try disks(["-drive", "readonly=on,\u{301}x=y,file=/x"]) == ["R /x"])
    }

    @Test(arguments: [
        ("-name web1", "web1"), ("-name guest=web2,debug-threads=on", "web2"), ("-name a -name process=b", "a"),
        ("-m 1", nil),
        ("-name a,guest=b", "b"),
    ])
    func nameIsFound(_ options: String, _ name: String?) throws {
        #expect(try parse(["kvm"] + options.split(separator: " ").map(String.init)).guestName == name)
    }

    @Test func uuidLifetimeAndMigrationAreFound() throws {
        let plain = try parse(["/usr/bin/qemu-system-aarch64", "-uuid", "1-2"])
        #expect(plain.guestUUID == "1-2" && plain.lifetime == .staysInForeground && !plain.isIncoming)
        let other = try parse(["/usr/libexec/qemu-kvm", "--daemonize", "-incoming", "defer"])
        #expect(other.guestUUID == nil && other.lifetime == .daemonizes && other.isIncoming)
    }
}
