import Testing

@testable import EmulatorCommandLine

@Suite struct ConfigurationFileTests {
    private static let files = [
        "/there/vm.cfg": """
        # a guest
        [drive "d0"]
          file = "x.img"
          if = "none"

        [device "v0"]
          driver = "virtio-blk-pci"
          drive = "d0"
          share-rw = "on"
        [machine]
          type = "pc"
        [name]
          guest = "web1"
        """,
        "/etc/plain": "[drive]\n  file = \"/a,b\"\n  readonly = \"on\"\n[drive]\nfile = \"\"\n",
    ]

    @Test(arguments: [
        Sample("-readconfig vm.cfg", "S /there/x.img"),
        Sample("-readconfig vm.cfg -set device.v0.share-rw=off", "W /there/x.img"),
        Sample("-readconfig vm.cfg -set drive.d0.file=/y", "S /y"),
        Sample("-readconfig vm.cfg -set drive.d0.file.filename=/y -set drive.d0.file=", "S /y"),
        Sample("-readconfig vm.cfg -set drive.d0.readonly=on", "R /there/x.img"),
        Sample("-readconfig /etc/plain -hda /b", "R /a,b", "W /b"),
        Sample("-drive id=a,file=/x -set drive.a.snapshot=on", "R /x"),
        Sample("-drive id=a,file=/x -set drive.a.readonly=on", "R /x"),
        Sample("-drive id=a,file=/x,readonly=off -set drive.a.readonly=on", "W /x"),
    ])
    func itsDrivesCountAndCanBeChanged(_ sample: Sample) throws {
        #expect(try disks(sample.options, files: Self.files) == sample.expected)
    }

    @Test func itsGuestNameAndOriginAreKept() throws {
        let command = try parse(["kvm", "-readconfig", "vm.cfg"], files: Self.files)
        #expect(command.guestName == "web1")
        #expect(command.disks.map(\.origin) == ["-readconfig vm.cfg [drive \"d0\"]"])
    }

    @Test func qemusOwnConfigurationCounts() throws {
        let files = ["/etc/qemu/qemu.conf": "[drive]\nfile = \"/x\"\n"]
        #expect(try disks([], files: files) == ["W /x"])
        #expect(try disks(["-no-user-config"], files: files) == [])
        #expect(try disks(["-nodefaults", "-name", "-no-user-config"], files: files) == ["W /x"])
    }

    @Test(arguments: [
        ("file = \"/x\"", "line 1 is in no group"),
        ("[drive]\nfile=\"/x\"", "line 2 is not KEY = \"VALUE\""),
        ("[drive]\nfile = /x", "line 2 is not KEY = \"VALUE\""),
        ("[drive]\nfile = \"/x", "line 2 is not KEY = \"VALUE\""),
        ("[drive", "line 1 is not KEY = \"VALUE\""),
        ("[drive]\nfile = \"" + String(repeating: "x", count: 1100) + "\"", "line 2 is too long"),
        ("[drive \"a\"]\n[drive \"a\"]", "the id 'a' is given to two disks"),
        ("[drive]\nfile = \"/x\"\nreadonly = \"maybe\"", "readonly=maybe is not on or off"),
    ])
    func aBadFileIsRefused(_ text: String, _ reason: String) {
        let message = refusal(["-readconfig", "/c"], files: ["/c": text])
        #expect(message?.hasPrefix("-readconfig /c") == true)
        #expect(message?.contains(reason) == true, "\(message ?? "nil")")
    }

    @Test(arguments: ["-", "/missing", "/dev/fd/3", ""])
    func aFileThatCantBeReadIsRefused(_ path: String) {
        #expect(refusal(["-readconfig", path])?.hasPrefix("-readconfig \(path): ") == true)
    }
}
