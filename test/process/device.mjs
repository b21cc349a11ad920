// SPDX-License-Identifier: Apache-2.0
/* An end device whose every frame is made and read by lora-packet, an implementation that is not ours. */
import lora from 'lora-packet';

const hex = (s) => Buffer.from(s, 'hex');
const reversed = (b) => Buffer.from(b).reverse();

export class Device {
    constructor({ dev_eui, join_eui = '70B3D57ED0FFFFFF', app_key, profile, name = dev_eui }) {
        Object.assign(this, { dev_eui: dev_eui.toUpperCase(), join_eui, app_key, profile, name, fcnt: 0, session: null });
    }

    row() { return `${this.dev_eui},${this.join_eui},${this.app_key},,${this.name},${this.profile},36.7,137.2,0`; }

    joinRequest(dev_nonce) {
        const nonce = Buffer.alloc(2);
        nonce.writeUInt16BE(dev_nonce);
        this.dev_nonce = nonce;
        return lora.fromFields({ MType: 'Join Request', AppEUI: hex(this.join_eui), DevEUI: hex(this.dev_eui), DevNonce: nonce },
            null, null, hex(this.app_key)).getPHYPayload();
    }

    /* The join-accept as lora-packet opens it, or null when its MIC is wrong; keys follow from it. */
    readAccept(phy, dev_nonce = this.dev_nonce) {
        const clear = lora.fromWire(lora.decryptJoinAccept(lora.fromWire(phy), hex(this.app_key)));
        if (clear.getDLSettingsOptNeg() || !lora.verifyMIC(clear, null, hex(this.app_key))) return null;   /* another device's */
        const keys = lora.generateSessionKeys10(hex(this.app_key), clear.NetID, clear.AppNonce, dev_nonce);
        return { devaddr: Buffer.from(clear.DevAddr), keys, rx_delay: clear.getRxDelayDel(), nonce: clear.AppNonce.readUIntBE(0, 3),
            rx1_offset: clear.getDLSettingsRxOneDRoffset(), rx2_dr: clear.getDLSettingsRxTwoDataRate(), cflist: clear.CFList };
    }

    takeAccept(phy) {
        const accept = this.readAccept(phy);
        if (!accept) return null;
        this.session = accept;
        this.fcnt = 0;
        return accept;
    }

    /* The next data frame; port null: none. */
    up(payload = Buffer.alloc(0), { port = 2, confirmed = false, fopts = '', ack = false, adr = false, fcnt = this.fcnt++, session = this.session } = {}) {
        const msb = Buffer.alloc(2);
        msb.writeUInt16LE(Math.floor(fcnt / 65536));
        const p = lora.fromFields({ MType: confirmed ? 'Confirmed Data Up' : 'Unconfirmed Data Up', DevAddr: session.devaddr, FCnt: fcnt % 65536,
            FOpts: fopts, FCtrl: { ACK: ack, ADR: adr }, payload: Buffer.from(payload), ...(port === null ? {} : { FPort: port }) },
        session.keys.AppSKey, session.keys.NwkSKey, null, msb);
        lora.recalculateMIC(p, session.keys.NwkSKey, null, msb);
        return Buffer.concat([p.MHDR, p.MACPayload, p.MIC]);
    }

    /* A downlink as this device sees it; null when it is not for it. */
    read(phy, session = this.session) {
        const p = lora.fromWire(phy);
        if (p.getDir() !== 'down' || !p.isDataMessage() || !p.DevAddr.equals(session.devaddr)) return null;
        const body = p.FRMPayload.length ? lora.decrypt(p, session.keys.AppSKey, session.keys.NwkSKey) : Buffer.alloc(0);
        return { mic: lora.verifyMIC(p, session.keys.NwkSKey), fcnt: p.getFCnt(), ack: p.getFCtrlACK(), pending: p.getFCtrlFPending(),
            confirmed: p.isConfirmed(), fopts: p.FOpts.toString('hex'), port: p.getFPort(), payload: body };
    }
}

export const devAddrOf = (phy) => reversed(phy.subarray(1, 5)).toString('hex');
