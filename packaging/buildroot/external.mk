include $(sort $(wildcard $(BR2_EXTERNAL_KIOSKLINK_PATH)/package/*/*.mk))
