/// QEMU's options, of all machines and versions: those of 7.2 as its own table has them, what came by 10.1, and what older
/// versions had. QEMU takes no abbreviations.
enum EmulatorOptions {
    enum Kind {
        case takesArgument, standsAlone, unknown
    }

    static func kind(of name: String) -> Kind {
        if withArgument.contains(name) { return .takesArgument }
        return alone.contains(name) ? .standsAlone : .unknown
    }

    private static let withArgument = words(
        """
        machine M cpu accel smp numa add-fd set global boot m mem-path k audio audiodev device name uuid fda fdb hda hdb hdc hdd
        cdrom blockdev drive mtdblock sd fsdev virtfs iscsi usbdevice display spice rotate vga g vnc acpitable smbios netdev nic
        net chardev tpmdev bios pflash kernel append initrd dtb compat fw_cfg serial parallel monitor qmp qmp-pretty mon debugcon
        pidfile overcommit gdb d D dfilter seed L xen-domid action loadvm option-rom rtc icount watchdog-action echr incoming
        chroot runas prom-env semihosting-config sandbox readconfig trace plugin qtest qtest-log msg dump-vmstate object
        run-with shim tb-size watchdog soundhw balloon realtime writeconfig bt tftp bootp redir smb startdate hdachs clock
        virtioconsole kvm-shadow-memory
        """)

    private static let alone = words(
        """
        h help version mem-prealloc audio-help snapshot usb nographic portrait full-screen win2k-hack no-fd-bootchk no-acpi
        no-hpet singlestep preconfig S s enable-kvm xen-attach xen-domid-restrict no-reboot no-shutdown daemonize
        only-migratable nodefaults semihosting old-param no-user-config async-teardown enable-sync-profile perfmap jitdump
        one-insn-per-tb nodefconfig alt-grab ctrl-grab no-quit no-frame sdl curses show-cursor localtime rtc-td-hack tdf no-kvm
        no-kvm-irqchip no-kvm-pit no-kvm-pit-reinjection enable-hax enable-fips enable-nesting xen-create virtfs_synth
        """)

    private static func words(_ text: String) -> Set<String> {
        Set(text.utf8.split(whereSeparator: \.isSpace).map { String($0) ?? "" })
    }
}
